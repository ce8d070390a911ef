//! The export of spans over OTLP.
//!
//! Set up by the standard `OTEL_*` variables alone, and only when they name an endpoint.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use crate::error::TelemetryError;
use crate::logs::MUTED;

/// The running export.
pub(crate) struct Export {
    provider: SdkTracerProvider,
}

impl Export {
    /// Starts the export if the environment (`variable`) asks for it. Needs a tokio runtime then.
    pub(crate) fn start(
        service: &'static str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        if !wanted(variable) {
            return Ok(None);
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(TelemetryError::Export("it needs a tokio runtime".to_owned()));
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .build()
            .map_err(|error| TelemetryError::Export(error.to_string()))?;
        // The sampler comes from OTEL_TRACES_SAMPLER; by default it follows the parent and samples all roots.
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(service)).build();
        Ok(Some(Self { provider }))
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("flotilla")
    }

    /// Sends what waits. Blocks, at most for `patience`.
    pub(crate) fn stop(&self, patience: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(patience) {
            tracing::warn!(error = %error, "spans were not all exported");
        }
    }
}

/// The spans that are exported: ours from `info` up, never those of the libraries that carry the export.
pub(crate) fn filter() -> Targets {
    Targets::new().with_default(LevelFilter::INFO).with_targets(MUTED.iter().map(|target| (*target, LevelFilter::OFF)))
}

fn wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    endpoint.is_some() && !disabled
}

/// Who we are: what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, else the service's own name and version.
fn resource(service: &'static str) -> Resource {
    let given = Resource::builder().build();
    let named = given
        .get(&Key::from_static_str("service.name"))
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut builder = Resource::builder();
    if !named {
        builder = builder.with_service_name(service);
    }
    for (key, value) in [("service.version", env!("CARGO_PKG_VERSION")), ("service.namespace", "flotilla")] {
        if given.get(&Key::from_static_str(key)).is_none() {
            builder = builder.with_attribute(KeyValue::new(key, value));
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_with(variables: &[(&str, &str)]) -> bool {
        wanted(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn traces_are_exported_only_when_an_endpoint_is_named() {
        assert!(!wanted_with(&[]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")]));
        assert!(wanted_with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4317")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_SDK_DISABLED", "true")]));
        assert!(!wanted_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x"), ("OTEL_TRACES_EXPORTER", "none")]));
    }

    #[test]
    fn a_process_is_called_after_its_service() {
        let name = resource("orders").get(&Key::from_static_str("service.name"));
        assert_eq!(name.map(|name| name.to_string()), Some("orders".to_owned()));
    }

    #[tokio::test]
    async fn an_unreachable_collector_holds_up_nobody() {
        let endpoint = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:1".to_owned());
        let export = Export::start("orders", endpoint).unwrap().unwrap();
        let began = std::time::Instant::now();
        opentelemetry::trace::Tracer::start(&export.tracer(), "span");
        tokio::task::spawn_blocking(move || export.stop(Duration::from_millis(500))).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
