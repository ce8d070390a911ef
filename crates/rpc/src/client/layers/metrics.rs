//! Metrics of a process's outgoing calls: rate, errors and duration by method, retries, refusals and ejections.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tonic::Code;

use crate::code_name;

/// Buckets from 0.1 ms to 10 s.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// gRPC's codes.
const CODES: usize = 17;

/// The metrics of all channels of a process. Cheap to clone: register them once and pass them to each channel.
#[derive(Debug, Clone)]
pub struct ClientMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    retries: IntCounterVec,
    pub(crate) ejections: IntCounter,
    pub(crate) broken: IntCounter,
}

/// The metrics of one method.
#[derive(Debug, Clone)]
pub(crate) struct MethodMetrics {
    requests: IntCounterVec,
    by_code: Arc<[OnceLock<IntCounter>; CODES]>,
    duration: Histogram,
    /// Calls and streams in flight.
    pub in_flight: IntGauge,
    /// Attempts after the first.
    pub retries: IntCounter,
    /// Calls refused by the breaker.
    pub broken: IntCounter,
    service: String,
    method: String,
}

impl ClientMetrics {
    /// Creates and registers the metrics, once per registry.
    pub fn register(registry: &Registry) -> Self {
        let valid = "names and labels are constants that follow the rules";
        let labels = &["service", "method"];
        let buckets = HistogramOpts::new(
            "flotilla_rpc_client_request_duration_seconds",
            "Time until an outgoing gRPC call ended",
        )
        .buckets(BUCKETS.to_vec());
        let opts = Opts::new;
        let metrics = Self {
            requests: IntCounterVec::new(
                opts("flotilla_rpc_client_requests_total", "Outgoing gRPC calls that have ended, by code"),
                &["service", "method", "code"],
            )
            .expect(valid),
            duration: HistogramVec::new(buckets, labels).expect(valid),
            in_flight: IntGaugeVec::new(opts("flotilla_rpc_client_in_flight", "Outgoing gRPC calls in flight"), labels)
                .expect(valid),
            retries: IntCounterVec::new(
                opts("flotilla_rpc_client_retries_total", "Retries of outgoing gRPC calls"),
                labels,
            )
            .expect(valid),
            ejections: IntCounter::new("flotilla_rpc_client_ejections_total", "Ejections of failing addresses")
                .expect(valid),
            broken: IntCounter::new(
                "flotilla_rpc_client_broken_total",
                "gRPC calls refused by the client because the circuit breaker was open",
            )
            .expect(valid),
        };
        for collector in metrics.collectors() {
            if let Err(error) = registry.register(collector) {
                tracing::warn!(%error, "metrics of gRPC clients are not exported");
            }
        }
        metrics
    }

    fn collectors(&self) -> [Box<dyn Collector>; 6] {
        [
            Box::new(self.requests.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.ejections.clone()),
            Box::new(self.broken.clone()),
        ]
    }

    pub(crate) fn method(&self, service: &str, method: &str) -> MethodMetrics {
        let labels = &[service, method];
        MethodMetrics {
            requests: self.requests.clone(),
            by_code: Arc::new([const { OnceLock::new() }; CODES]),
            duration: self.duration.with_label_values(labels),
            in_flight: self.in_flight.with_label_values(labels),
            retries: self.retries.with_label_values(labels),
            broken: self.broken.clone(),
            service: service.to_owned(),
            method: method.to_owned(),
        }
    }
}

impl MethodMetrics {
    /// Counts a call that has ended.
    pub fn ended(&self, code: Code, took: Duration) {
        let counter = self.by_code[code as usize].get_or_init(|| {
            self.requests.with_label_values(&[self.service.as_str(), self.method.as_str(), code_name(code)])
        });
        counter.inc();
        self.duration.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_share_the_metrics_of_a_process() {
        let registry = Registry::new();
        let metrics = ClientMetrics::register(&registry);
        for _ in 0..2 {
            metrics.clone().method("s", "M").ended(Code::NotFound, Duration::from_millis(1));
        }
        let text = flotilla_telemetry::render(&registry);
        let line = "flotilla_rpc_client_requests_total{code=\"NOT_FOUND\",method=\"M\",service=\"s\"} 2";
        assert!(text.contains(line), "{text}");
    }
}
