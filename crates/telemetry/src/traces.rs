//! The export of spans over OTLP.
//!
//! Set up by the standard `OTEL_*` variables, and only when they name an endpoint. Guarantees: nobody waits for a
//! collector ([`queue`]); what it can't take is counted; all that leaves is scrubbed.

mod queue;
mod resource;

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus::{IntCounterVec, Opts, Registry};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::error::TelemetryError;
use crate::propagation::Outgoing;
use crate::sampler::Head;
use crate::span;

use queue::{Limits, Queue, Sender};
pub(crate) use resource::resource;

/// What the export of one signal (`traces`, `logs`) comes to.
#[derive(Clone, Debug)]
pub(crate) struct ExportMetrics {
    /// Requests that the collector didn't take.
    pub failures: IntCounterVec,
    /// Spans or records that were dropped.
    pub dropped: IntCounterVec,
}

impl ExportMetrics {
    /// Makes them and registers them, at nought.
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

/// The running export.
pub(crate) struct Export {
    provider: SdkTracerProvider,
    sender: Sender,
    follows: bool,
}

impl Export {
    /// Starts the export if the environment (`variable`) asks for it. Needs a tokio runtime then. `ratio` is the share of
    /// the traces begun here that are sampled where the environment doesn't say.
    pub(crate) fn start(
        service: &'static str,
        ratio: f64,
        metrics: &ExportMetrics,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        if !wanted("TRACES", &variable) {
            return Ok(None);
        }
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| TelemetryError::Export("it needs a tokio runtime".to_owned()))?;
        let sampler = Head::from_environment(&variable, ratio)?;
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .build()
            .map_err(|error| TelemetryError::Export(error.to_string()))?;
        let resource = resource(service, &variable);
        opentelemetry_sdk::trace::SpanExporter::set_resource(&mut exporter, &resource);
        let follows = sampler.follows();
        let (queue, sender) = Queue::start(exporter, Limits::from_environment(&variable), metrics, &runtime);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Some(Self { provider, sender, follows }))
    }

    /// What makes the spans.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("flotilla")
    }

    /// Makes this the process's: spans are made from now on.
    pub(crate) fn install(&self) {
        span::set_source(self.tracer(), self.follows);
    }

    /// Sends what waits, for as long as `max_wait`; what is left then is counted as dropped.
    pub(crate) async fn stop(self, max_wait: Duration) {
        // No span that ends from now on gets in.
        let _ = self.provider.shutdown_with_timeout(Duration::ZERO);
        self.sender.stop(max_wait).await;
    }
}

/// In which words traces go out; independent of whether they are exported here.
pub(crate) fn set_propagators(variable: impl Fn(&str) -> Option<String>) {
    Outgoing::from_environment(variable).set();
}

/// The spans of `tracing` that are exported: those made for it.
pub(crate) fn filter() -> Targets {
    Targets::new().with_target(span::SPANS, LevelFilter::TRACE)
}

/// Whether the environment names a collector for a signal (`TRACES`, `LOGS`) and doesn't switch it off.
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
    fn traces_are_exported_only_when_an_endpoint_is_named() {
        assert!(!wanted_with(&[]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")]));
        assert!(wanted_with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4317")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://localhost:4317")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_SDK_DISABLED", "true")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_TRACES_EXPORTER", "none")]));
    }

    #[tokio::test]
    async fn an_unreachable_collector_holds_up_nobody_and_is_counted() {
        let endpoint = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:1".to_owned());
        let registry = Registry::new();
        let metrics = ExportMetrics::register(&registry).unwrap();
        let export = Export::start("orders", 1.0, &metrics, endpoint).unwrap().unwrap();
        let began = std::time::Instant::now();
        for _ in 0..10 {
            opentelemetry::trace::Tracer::start(&export.tracer(), "span");
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        export.stop(Duration::from_millis(500)).await;
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(metrics.dropped.with_label_values(&["traces"]).get(), 10);
        assert!(crate::render(&registry).contains("flotilla_telemetry_export_failures_total{signal=\"traces\"} 1"));
    }
}
