//! The registry of a process and what every process shows in it.

use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};

use crate::error::TelemetryError;

/// A registry with the process's own figures and what was built.
pub(crate) fn registry(service: &str) -> Result<Registry, TelemetryError> {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let build = IntGaugeVec::new(
        Opts::new("flotilla_build_info", "Always 1; what runs here is in the labels."),
        &["service", "version", "commit"],
    )?;
    let commit = option_env!("FLOTILLA_COMMIT").unwrap_or("unknown");
    build.with_label_values(&[service, env!("CARGO_PKG_VERSION"), commit]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
}

/// All metrics in Prometheus' text format.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&registry.gather(), &mut text) {
        tracing::warn!(error = %error, "metrics could not be rendered");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_shows_what_it_is() {
        let text = render(&registry("orders").unwrap());
        assert!(text.contains("flotilla_build_info{") && text.contains("service=\"orders\""), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
