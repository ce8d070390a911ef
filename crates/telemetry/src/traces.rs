//! The export of spans over OTLP.
//!
//! Configured by the standard `OTEL_*` variables, and active only if they name an endpoint. Guarantees: no caller waits
//! for the collector ([`queue`]); spans that it doesn't accept are counted; everything sent is scrubbed.

mod queue;
mod resource;

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus::{IntCounterVec, Opts, Registry};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::error::TelemetryError;
use crate::propagation::Outgoing;
use crate::sampler::HeadSampler;
use crate::service_scope::ServiceScope;
use crate::span;

use queue::{Limits, Queue, Sender};
pub(crate) use resource::resource;

/// Metrics of the exports, by signal (`traces`, `logs`).
#[derive(Clone, Debug)]
pub(crate) struct ExportMetrics {
    /// Requests that the collector didn't accept.
    pub failures: IntCounterVec,
    /// Spans or records that were dropped.
    pub dropped: IntCounterVec,
}

impl ExportMetrics {
    /// Creates and registers them, starting at zero.
    pub(crate) fn register(registry: &Registry) -> Result<Self, TelemetryError> {
        let counter = |name: &str, text: &str| IntCounterVec::new(Opts::new(name, text), &["signal"]);
        let metrics = Self {
            failures: counter("flotilla_telemetry_export_failures_total", "Exports that the collector didn't accept.")?,
            dropped: counter("flotilla_telemetry_dropped_total", "Spans and log records that could not be exported.")?,
        };
        for counter in [&metrics.failures, &metrics.dropped] {
            registry.register(Box::new(counter.clone()))?;
            for signal in ["traces", "logs"] {
                counter.with_label_values(&[signal]);
            }
        }
        Ok(metrics)
    }
}

/// The running export: one exporter, over which the spans of each service are sent with the service's resource.
pub(crate) struct Export {
    /// The provider of the process, then those of its services, if it runs several.
    providers: Vec<(ServiceScope, SdkTracerProvider)>,
    sender: Sender,
    follows: bool,
}

impl Export {
    /// Starts the export if the environment (`variable`) names a collector; it then needs a tokio runtime. `ratio` is the
    /// share of traces started here that are sampled, unless the environment sets it. `services` are those of a process
    /// that runs several.
    pub(crate) fn start(
        process: &'static str,
        services: &[&'static str],
        ratio: f64,
        metrics: &ExportMetrics,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        if !wanted("TRACES", &variable) {
            return Ok(None);
        }
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| TelemetryError::Export("it needs a tokio runtime".to_owned()))?;
        let sampler = HeadSampler::from_environment(&variable, ratio)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .build()
            .map_err(|error| TelemetryError::Export(error.to_string()))?;
        let scopes = std::iter::once(ServiceScope::default()).chain(services.iter().copied().map(ServiceScope::of));
        let scopes: Vec<_> =
            scopes.map(|scope| (scope, resource(scope.name().unwrap_or(process), &variable))).collect();
        let resources = scopes.iter().map(|(_, resource)| resource.clone()).collect();
        let follows = sampler.follows();
        let limits = Limits::from_environment(&variable);
        let (queue, sender) = Queue::start(exporter, resources, limits, metrics, &runtime);
        let provider = |(owner, (scope, resource)): (usize, (ServiceScope, Resource))| {
            let provider = SdkTracerProvider::builder()
                .with_span_processor(queue.of(owner))
                .with_sampler(sampler.clone())
                .with_resource(resource);
            (scope, provider.build())
        };
        let providers = scopes.into_iter().enumerate().map(provider).collect();
        Ok(Some(Self { providers, sender, follows }))
    }

    /// The tracers that create spans: the process's, then those of its services.
    fn tracers(&self) -> Vec<(ServiceScope, SdkTracer)> {
        self.providers.iter().map(|(scope, provider)| (*scope, provider.tracer("flotilla"))).collect()
    }

    /// The process's tracer, for `tracing`'s spans.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.tracers().into_iter().next().map(|(_, tracer)| tracer)
    }

    /// Makes this the process's export: spans are created from now on.
    pub(crate) fn install(&self) {
        span::set_source(self.tracers(), self.follows);
    }

    /// Sends queued spans for at most `max_wait`; the rest is counted as dropped.
    pub(crate) async fn stop(self, max_wait: Duration) {
        // Spans that end from now on aren't queued.
        for (_, provider) in &self.providers {
            let _ = provider.shutdown_with_timeout(Duration::ZERO);
        }
        self.sender.stop(max_wait).await;
    }
}

/// Sets the formats of outgoing trace headers, whether or not traces are exported here.
pub(crate) fn set_propagators(variable: impl Fn(&str) -> Option<String>) {
    Outgoing::from_environment(variable).set();
}

/// Selects the `tracing` spans that are exported: those with the target [`span::SPANS`].
pub(crate) fn filter() -> Targets {
    Targets::new().with_target(span::SPANS, LevelFilter::TRACE)
}

/// Whether the environment names a collector for a signal (`TRACES`, `LOGS`) and doesn't disable it.
pub(crate) fn wanted(signal: &str, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let endpoint = set(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")).or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|value| value == "none");
    endpoint.is_some() && !disabled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_with(variables: &[(&str, &str)]) -> bool {
        wanted("TRACES", |name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn traces_are_exported_only_if_an_endpoint_is_set() {
        assert!(!wanted_with(&[]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")]));
        assert!(wanted_with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4317")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://localhost:4317")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_SDK_DISABLED", "true")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_TRACES_EXPORTER", "none")]));
    }

    #[tokio::test]
    async fn an_unreachable_collector_delays_no_caller_and_is_counted() {
        let endpoint = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:1".to_owned());
        let registry = Registry::new();
        let metrics = ExportMetrics::register(&registry).unwrap();
        let export = Export::start("orders", &[], 1.0, &metrics, endpoint).unwrap().unwrap();
        let began = std::time::Instant::now();
        for _ in 0..10 {
            opentelemetry::trace::Tracer::start(&export.tracer().unwrap(), "span");
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        export.stop(Duration::from_millis(500)).await;
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(metrics.dropped.with_label_values(&["traces"]).get(), 10);
        assert!(crate::render(&registry).contains("flotilla_telemetry_export_failures_total{signal=\"traces\"} 1"));
    }
}
