//! Metrics of calls: rate, errors and duration of each method. Label values are resolved when the server is built; a
//! call touches only atomics. Only methods of the added services have their own labels: all others count as `unknown`.

use std::sync::OnceLock;
use std::time::Duration;

use flotilla_telemetry::{ExemplarHistogram, ExemplarHistogramVec, SampledTrace};
use prometheus::core::Collector;
use prometheus::{HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use tonic::Code;

use crate::details::code_name;

/// Buckets from 0.1 ms to 10 s. They include the thresholds of the service level objectives: 0.25 s and 5 s.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// gRPC's codes.
const CODES: usize = 17;

/// The metrics of a server.
#[derive(Debug)]
pub(crate) struct RpcMetrics {
    requests: IntCounterVec,
    duration: ExemplarHistogramVec,
    in_flight: IntGaugeVec,
    /// Calls refused because of load.
    pub shed: IntCounter,
    /// Calls refused because their caller makes too many.
    pub limited: IntCounter,
    /// Panics caught.
    pub panics: IntCounter,
}

/// The metrics of one method.
#[derive(Debug)]
pub(crate) struct MethodMetrics {
    requests: IntCounterVec,
    by_code: [OnceLock<IntCounter>; CODES],
    duration: ExemplarHistogram,
    /// Calls and streams in flight.
    pub in_flight: IntGauge,
    service: String,
    method: String,
}

impl RpcMetrics {
    /// Creates and registers the metrics.
    pub fn register(registry: &Registry) -> Self {
        let labels = &["service", "method"];
        let requests = IntCounterVec::new(
            Opts::new("flotilla_rpc_requests_total", "gRPC calls that have ended, by code"),
            &["service", "method", "code"],
        );
        let opts = HistogramOpts::new("flotilla_rpc_request_duration_seconds", "Time until a gRPC call ended")
            .buckets(BUCKETS.to_vec());
        // If the name is taken, calls are served without the metric.
        let duration = ExemplarHistogramVec::register(opts.clone(), labels, registry).or_else(|error| {
            tracing::warn!(%error, "times of gRPC calls are not exported");
            ExemplarHistogramVec::register(opts, labels, &Registry::new())
        });
        let in_flight =
            IntGaugeVec::new(Opts::new("flotilla_rpc_in_flight", "gRPC calls and streams in flight"), labels);
        let shed = IntCounter::new("flotilla_rpc_shed_total", "gRPC calls refused because of load");
        let limited = IntCounter::new(
            "flotilla_rpc_rate_limited_total",
            "gRPC calls refused because their caller sends too many",
        );
        let panics = IntCounter::new("flotilla_rpc_panics_total", "Panics caught in gRPC handlers");
        let valid = "names and labels are constants that follow the rules";
        let metrics = Self {
            requests: requests.expect(valid),
            duration: duration.expect(valid),
            in_flight: in_flight.expect(valid),
            shed: shed.expect(valid),
            limited: limited.expect(valid),
            panics: panics.expect(valid),
        };
        for collector in metrics.collectors() {
            if let Err(error) = registry.register(collector) {
                tracing::warn!(%error, "gRPC metrics are not exported");
            }
        }
        metrics
    }

    fn collectors(&self) -> [Box<dyn Collector>; 5] {
        [
            Box::new(self.requests.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.shed.clone()),
            Box::new(self.limited.clone()),
            Box::new(self.panics.clone()),
        ]
    }

    /// The metrics of one method.
    pub fn method(&self, service: &str, method: &str) -> MethodMetrics {
        MethodMetrics {
            requests: self.requests.clone(),
            by_code: [const { OnceLock::new() }; CODES],
            duration: self.duration.with_label_values(&[service, method]),
            in_flight: self.in_flight.with_label_values(&[service, method]),
            service: service.to_owned(),
            method: method.to_owned(),
        }
    }
}

impl MethodMetrics {
    /// Counts a call that has ended, in this trace.
    pub fn ended(&self, code: Code, took: Duration, trace: Option<SampledTrace>) {
        let counter = self.by_code[code as usize].get_or_init(|| {
            self.requests.with_label_values(&[self.service.as_str(), self.method.as_str(), code_name(code)])
        });
        counter.inc();
        self.duration.observe_with(took.as_secs_f64(), trace);
    }
}
