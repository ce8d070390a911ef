//! Metrics of a process: its registry, the metrics that every process has, and their export to a scraper.
//!
//! Metrics are registered with the `prometheus` crate. This module adds what it lacks: histograms with exemplars
//! ([`ExemplarHistogram`]), the OpenMetrics format that can carry them ([`expose`]), service level indicators
//! ([`SliEvents`]) and metrics of the async runtime. `prometheus-client` supports exemplars, but has its own registry,
//! which would have to be merged with this one, and its histograms with exemplars take a lock for each observation. A
//! wrapper for four histograms and an encoder is less code.

mod exemplar;
mod exposition;
mod histogram;
mod merged;
mod open_metrics;
mod runtime;
mod sli;

use prometheus::{IntGaugeVec, Opts, Registry};

use crate::error::TelemetryError;

pub use exemplar::SampledTrace;
pub use exposition::{Exposition, expose, expose_all, render};
pub use histogram::{ExemplarHistogram, ExemplarHistogramVec};
pub use sli::{Sli, SliEvents};

/// A registry with the metrics of the process and of the build.
pub(crate) fn registry(service: &str) -> Result<Registry, TelemetryError> {
    let registry = process_registry()?;
    register_build(service, &registry)?;
    Ok(registry)
}

/// A registry with the metrics of the process.
pub(crate) fn process_registry() -> Result<Registry, TelemetryError> {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    if let Ok(handle) = tokio::runtime::Handle::try_current() {
        registry.register(Box::new(runtime::RuntimeCollector::new(handle)?))?;
    }
    Ok(registry)
}

/// Adds the metric of a service's build.
pub(crate) fn register_build(service: &str, registry: &Registry) -> Result<(), TelemetryError> {
    let build = IntGaugeVec::new(
        Opts::new("flotilla_build_info", "Always 1; the labels identify the build."),
        &["service", "version", "commit"],
    )?;
    let commit = option_env!("FLOTILLA_COMMIT").unwrap_or("unknown");
    build.with_label_values(&[service, env!("CARGO_PKG_VERSION"), commit]).set(1);
    registry.register(Box::new(build))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_the_metrics_of_the_build_and_the_process() {
        let text = render(&registry("orders").unwrap());
        assert!(text.contains("flotilla_build_info{") && text.contains("service=\"orders\""), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
