//! Metrics of a process: its registry, the metrics that every process has, and their export to a scraper.
//!
//! Metrics are registered with the `prometheus` crate. What it lacks is here: histograms that remember the trace of an
//! observation ([`ExemplarHistogram`]), the OpenMetrics text that can carry it ([`expose`]), the service level
//! indicators ([`SliEvents`]) and the figures of the async runtime. `prometheus-client` has exemplars of its own, but a
//! registry of its own too: two registries would have to be joined, and a histogram of its kind takes a lock for each
//! observation. A wrapper for four histograms and an encoder is less.

mod exemplar;
mod exposition;
mod histogram;
mod open_metrics;
mod runtime;
mod sli;

use prometheus::{IntGaugeVec, Opts, Registry};

use crate::error::TelemetryError;

pub use exemplar::SampledTrace;
pub use exposition::{Exposition, expose, render};
pub use histogram::{ExemplarHistogram, ExemplarHistogramVec};
pub use sli::{Sli, SliEvents};

/// A registry with the process's own figures and what was built.
pub(crate) fn registry(service: &str) -> Result<Registry, TelemetryError> {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    if let Ok(handle) = tokio::runtime::Handle::try_current() {
        registry.register(Box::new(runtime::RuntimeCollector::new(handle)?))?;
    }
    let build = IntGaugeVec::new(
        Opts::new("flotilla_build_info", "Always 1; the labels identify the build."),
        &["service", "version", "commit"],
    )?;
    let commit = option_env!("FLOTILLA_COMMIT").unwrap_or("unknown");
    build.with_label_values(&[service, env!("CARGO_PKG_VERSION"), commit]).set(1);
    registry.register(Box::new(build))?;
    Ok(registry)
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
