//! The gateway's metrics: rate, errors and duration of requests by protocol and route, and the service level indicators
//! derived from them.
//!
//! Guarantees: the number of series is bounded by the contracts, whatever clients send. Routes are patterns, never
//! paths; an unknown method or protocol is `other`, an unknown path `none`. Children are looked up
//! by the route's name and resolved once; a request allocates no labels.
//!
//! All protocols share this module, but it isn't a layer around the gateway: from outside, the status of a gRPC-Web or
//! Connect stream is hidden in its body, and so is an error among server-sent events.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use flotilla_telemetry::{ExemplarHistogram, ExemplarHistogramVec, SampledTrace, Span};
use parking_lot::RwLock;
use prometheus::{HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector};

use crate::end::End;
use crate::sli::{Kind, Slis, Verdict};
use crate::trace;

/// Buckets from 0.1 ms to 10 s. They include the thresholds of the service level objectives: 0.25 s and 5 s.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The protocols with their own label; the last stands for the rest.
const PROTOCOLS: [&str; 5] = ["grpc", "grpc-web", "connect", "rest", "other"];
/// The HTTP methods with their own label; the last stands for the rest.
const METHODS: [&str; 8] = ["POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

/// The metrics.
#[derive(Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    duration: ExemplarHistogramVec,
    /// Requests in flight, streams included.
    in_flight: IntGauge,
    /// Panics caught.
    pub panics: IntCounter,
    /// Open connections.
    pub connections: IntGauge,
    /// Connections that were refused or closed, by `reason`: `full`, `memory` (no room), `address` (its share is used
    /// up), `displaced` (idle, and its slot was needed), `silent` (nothing sent in time), `resets`, `stalled` (response
    /// not read), `idle`, `tls` (no handshake).
    pub refused_connections: IntCounterVec,
    slis: Arc<Slis>,
    routes: RwLock<HashMap<String, Arc<Route>>>,
}

impl Metrics {
    /// Creates and registers the metrics.
    ///
    /// # Errors
    /// One of the names is already registered.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let time = HistogramOpts::new("flotilla_gateway_request_seconds", "Time until a request ended")
            .buckets(BUCKETS.to_vec());
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("flotilla_gateway_requests_total", "Requests that have ended, by route and status"),
                &["protocol", "route", "method", "status"],
            )?,
            duration: ExemplarHistogramVec::register(time, &["protocol", "route", "method"], registry)?,
            in_flight: IntGauge::new("flotilla_gateway_in_flight", "Requests in flight, including streams")?,
            panics: IntCounter::new("flotilla_gateway_panics_total", "Panics caught while handling requests")?,
            connections: IntGauge::new("flotilla_gateway_connections", "Open connections")?,
            refused_connections: IntCounterVec::new(
                Opts::new(
                    "flotilla_gateway_refused_connections_total",
                    "Connections refused, or closed by the gateway, by reason",
                ),
                &["reason"],
            )?,
            slis: Arc::new(Slis::register(registry)?),
            routes: RwLock::default(),
        };
        let all: [Box<dyn Collector>; 5] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.panics.clone()),
            Box::new(metrics.connections.clone()),
            Box::new(metrics.refused_connections.clone()),
        ];
        all.into_iter().try_for_each(|metric| registry.register(metric))?;
        for reason in ["full", "memory", "address", "displaced", "silent", "resets", "stalled", "idle", "tls"] {
            metrics.refused_connections.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    /// Starts the timer of a call of a public method. `route` is its name, or the pattern that matched.
    pub fn begin(&self, protocol: &str, route: &str, method: &str) -> Timer {
        self.timer(protocol, route, method, Kind::of_call(method, route))
    }

    /// Starts the timer of a request that isn't a call, such as a page or an unknown path. It counts for no indicator.
    pub fn begin_aside(&self, protocol: &str, route: &str, method: &str) -> Timer {
        self.timer(protocol, route, method, Kind::Aside)
    }

    fn timer(&self, protocol: &str, route: &str, method: &str, kind: Kind) -> Timer {
        self.in_flight.inc();
        let (protocol, method) = (place(&PROTOCOLS, protocol), place(&METHODS, method));
        let endpoint = self.route(route).endpoint(self, protocol, method);
        let (slis, in_flight) = (Arc::clone(&self.slis), self.in_flight.clone());
        Timer { endpoint, in_flight, slis, kind, span: Span::none(), started: Instant::now(), ended: false }
    }

    fn route(&self, name: &str) -> Arc<Route> {
        if let Some(known) = self.routes.read().get(name) {
            return Arc::clone(known);
        }
        Arc::clone(self.routes.write().entry(name.to_owned()).or_insert_with(|| Arc::new(Route::new(name))))
    }
}

/// The index of a value among the labels.
fn place(known: &[&str], value: &str) -> usize {
    known.iter().position(|known| *known == value).unwrap_or(known.len() - 1)
}

/// The children of one route.
#[derive(Debug)]
struct Route {
    name: String,
    endpoints: [[OnceLock<Arc<Endpoint>>; METHODS.len()]; PROTOCOLS.len()],
}

impl Route {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), endpoints: Default::default() }
    }

    fn endpoint(&self, metrics: &Metrics, protocol: usize, method: usize) -> Arc<Endpoint> {
        let labels = [PROTOCOLS[protocol], self.name.as_str(), METHODS[method]];
        Arc::clone(self.endpoints[protocol][method].get_or_init(|| {
            Arc::new(Endpoint {
                labels: labels.map(str::to_owned),
                requests: metrics.requests.clone(),
                by_status: RwLock::default(),
                duration: metrics.duration.with_label_values(&labels),
            })
        }))
    }
}

/// The metrics of one protocol, route and method.
#[derive(Debug)]
struct Endpoint {
    labels: [String; 3],
    requests: IntCounterVec,
    /// The statuses that occurred so far; there are few.
    by_status: RwLock<Vec<(String, IntCounter)>>,
    duration: ExemplarHistogram,
}

impl Endpoint {
    fn count(&self, status: &str) {
        let known = |(known, counter): &(String, IntCounter)| (known == status).then(|| counter.inc());
        if self.by_status.read().iter().find_map(known).is_some() {
            return;
        }
        let [protocol, route, method] = &self.labels;
        let counter = self.requests.with_label_values(&[protocol.as_str(), route, method, status]);
        counter.inc();
        let mut by_status = self.by_status.write();
        if by_status.iter().all(|(known, _)| known != status) {
            by_status.push((status.to_owned(), counter));
        }
    }
}

/// A request that has not ended. If it is dropped before, the client went away, and it counts as cancelled.
#[derive(Debug)]
pub struct Timer {
    endpoint: Arc<Endpoint>,
    in_flight: IntGauge,
    slis: Arc<Slis>,
    kind: Kind,
    span: Span,
    started: Instant,
    ended: bool,
}

impl Timer {
    /// Sets the request's span, which ends with it; the exemplar of its duration refers to the span's trace.
    #[must_use]
    pub fn traced(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// The request's span.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Records how the request ended.
    pub fn end(self, end: End) {
        self.end_because(end, None);
    }

    /// Records how the request ended, and why.
    pub fn end_because(mut self, end: End, reason: Option<&str>) {
        self.count(end, reason);
    }

    fn count(&mut self, end: End, reason: Option<&str>) {
        self.ended = true;
        let status = end.label();
        let took = self.started.elapsed();
        self.in_flight.dec();
        let _traced = self.span.enter();
        trace::ended(&self.span, end, reason);
        self.endpoint.duration.observe_with(took.as_secs_f64(), SampledTrace::of(&self.span));
        self.endpoint.count(status);
        self.slis.ended(self.kind, Verdict::of(end, reason), took);
        let [protocol, route, method] = &self.endpoint.labels;
        tracing::debug!(
            protocol,
            route,
            method,
            status,
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request ended"
        );
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if !self.ended {
            self.count(End::DISCONNECTED, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_request_is_counted_once_by_its_end_or_by_its_drop() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        metrics.begin("rest", "/v1/orders", "POST").end(End::Http(StatusCode::OK));
        metrics.begin("rest", "/v1/orders", "POST").end(End::Http(StatusCode::OK));
        drop(metrics.begin("rest", "/v1/orders", "POST"));
        let count = |status| metrics.requests.with_label_values(&["rest", "/v1/orders", "POST", status]).get();
        assert_eq!((count("200"), count("CANCELLED"), metrics.in_flight.get()), (2, 1, 0));
    }

    #[test]
    fn unknown_values_share_one_series() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        for number in 0..100 {
            metrics
                .begin_aside(&format!("p{number}"), "none", &format!("VERB{number}"))
                .end(End::Http(StatusCode::NOT_FOUND));
        }
        assert_eq!(metrics.requests.with_label_values(&["other", "none", "other", "404"]).get(), 100);
    }
}
