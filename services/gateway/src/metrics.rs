//! What the gateway counts: requests and their time by protocol, route and outcome.

use std::time::Instant;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

/// From a tenth of a millisecond to ten seconds.
const BUCKETS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The metrics.
#[derive(Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    /// Requests in flight, streams included.
    in_flight: IntGauge,
    /// Requests refused because of load.
    pub shed: IntCounter,
    /// Requests refused because their address asks too often.
    pub limited: IntCounter,
    /// Panics caught.
    pub panics: IntCounter,
    /// Open connections.
    pub connections: IntGauge,
    /// Connections closed through their client's fault, by `reason`: `address` (too many of one), `silent` (nothing
    /// sent in time), `resets`, `stalled` (answer not taken), `idle`, `tls` (no handshake).
    pub refused_connections: IntCounterVec,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// Another part of the process has taken one of the names.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("flotilla_gateway_requests_total", "Requests that ended, by route and status"),
                &["protocol", "route", "method", "status"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new("flotilla_gateway_request_seconds", "Time to the end of a request")
                    .buckets(BUCKETS.to_vec()),
                &["protocol", "route", "method"],
            )?,
            in_flight: IntGauge::new("flotilla_gateway_in_flight", "Requests in flight, streams included")?,
            shed: IntCounter::new("flotilla_gateway_shed_total", "Requests refused because of load")?,
            limited: IntCounter::new(
                "flotilla_gateway_limited_total",
                "Requests refused by the limit of their address",
            )?,
            panics: IntCounter::new("flotilla_gateway_panics_total", "Panics caught while answering")?,
            connections: IntGauge::new("flotilla_gateway_connections", "Open connections")?,
            refused_connections: IntCounterVec::new(
                Opts::new(
                    "flotilla_gateway_refused_connections_total",
                    "Connections closed through their client's fault",
                ),
                &["reason"],
            )?,
        };
        let all: [Box<dyn Collector>; 8] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.duration.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.shed.clone()),
            Box::new(metrics.limited.clone()),
            Box::new(metrics.panics.clone()),
            Box::new(metrics.connections.clone()),
            Box::new(metrics.refused_connections.clone()),
        ];
        all.into_iter().try_for_each(|metric| registry.register(metric))?;
        Ok(metrics)
    }

    /// Begins to time a request.
    pub fn begin(&self, protocol: &'static str, route: &str, method: &str) -> Timer {
        self.in_flight.inc();
        Timer {
            requests: self.requests.clone(),
            duration: self.duration.with_label_values(&[protocol, route, method]),
            in_flight: self.in_flight.clone(),
            protocol,
            route: route.to_owned(),
            method: method.to_owned(),
            started: Instant::now(),
            ended: false,
        }
    }
}

/// A request that has not ended. Dropped unfinished, the client went away: it counts as cancelled.
#[derive(Debug)]
pub struct Timer {
    requests: IntCounterVec,
    duration: Histogram,
    in_flight: IntGauge,
    protocol: &'static str,
    route: String,
    method: String,
    started: Instant,
    ended: bool,
}

impl Timer {
    /// The request has ended with this status.
    pub fn end(mut self, status: &str) {
        self.count(status);
    }

    fn count(&mut self, status: &str) {
        self.ended = true;
        let took = self.started.elapsed();
        self.in_flight.dec();
        self.duration.observe(took.as_secs_f64());
        self.requests.with_label_values(&[self.protocol, &self.route, &self.method, status]).inc();
        tracing::debug!(
            protocol = self.protocol,
            route = self.route,
            method = self.method,
            status,
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request ended"
        );
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if !self.ended {
            self.count("CANCELLED");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_once_by_its_end_or_by_its_drop() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        metrics.begin("rest", "/v1/orders", "POST").end("200");
        drop(metrics.begin("rest", "/v1/orders", "POST"));
        let count = |status| metrics.requests.with_label_values(&["rest", "/v1/orders", "POST", status]).get();
        assert_eq!((count("200"), count("CANCELLED"), metrics.in_flight.get()), (1, 1, 0));
    }
}
