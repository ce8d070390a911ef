//! Starting and stopping.

use std::env;
use std::io;
use std::time::Duration;

use prometheus::{IntCounter, Registry};
use tracing_subscriber::Layer;
use tracing_subscriber::prelude::*;

use crate::error::TelemetryError;
use crate::settings::TelemetrySettings;
use crate::traces::Export;
use crate::writer::LogWriter;
use crate::{logs, metrics, traces};

/// Longest that stopping waits for spans to be sent, and as long again for logs to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// The running telemetry of a process; keep it until the end of `main`.
pub struct Telemetry {
    registry: Registry,
    export: Option<Export>,
    writer: Option<LogWriter>,
}

/// Starts telemetry: sets the global subscriber, and the export of traces if the environment asks for it. To be called
/// once, by `main`, inside the runtime.
///
/// # Errors
/// A filter or an endpoint that can't be understood, or telemetry was started before.
pub fn init(service: &'static str, settings: &TelemetrySettings) -> Result<Telemetry, TelemetryError> {
    let registry = metrics::registry(service)?;
    let dropped = IntCounter::new("flotilla_log_lines_dropped_total", "Log lines that nobody read in time.")?;
    registry.register(Box::new(dropped.clone()))?;
    let filter = logs::filter(settings, env::var("RUST_LOG").ok().as_deref())?;
    let writer = LogWriter::start(io::stdout(), settings.log_queue, dropped).map_err(TelemetryError::Writer)?;
    let style = logs::style(settings.format);
    let export = Export::start(service, |name| env::var(name).ok())?;
    let installed = match &export {
        // Without export, the filter stands before everything: what isn't logged costs a comparison.
        None => tracing_subscriber::registry().with(filter).with(logs::layer(style, writer.clone())).try_init(),
        Some(export) => {
            let spans = tracing_opentelemetry::layer()
                .with_tracer(export.tracer())
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(traces::filter());
            tracing_subscriber::registry()
                .with(logs::layer(style, writer.clone()).with_filter(filter))
                .with(spans)
                .try_init()
        }
    };
    installed.map_err(|_| TelemetryError::Started)?;
    Ok(Telemetry { registry, export, writer: Some(writer) })
}

impl Telemetry {
    /// Telemetry for tests: a registry of its own, no subscriber, no export.
    #[must_use]
    pub fn quiet(service: &'static str) -> Self {
        let registry = metrics::registry(service).unwrap_or_default();
        Self { registry, export: None, writer: None }
    }

    /// Where metrics are registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Sends the last spans and writes the last log lines; takes two seconds at most.
    pub async fn shutdown(mut self) {
        let (export, writer) = (self.export.take(), self.writer.take());
        let flush = tokio::task::spawn_blocking(move || {
            if let Some(export) = export {
                export.stop(PATIENCE);
            }
            if let Some(writer) = writer {
                writer.flush(PATIENCE);
            }
        });
        // The closure doesn't panic; were it to, there would be nothing left to tell about it.
        let _ = tokio::time::timeout(PATIENCE * 2, flush).await;
    }
}

impl Drop for Telemetry {
    /// The last lines of a process that ends early are its most important ones.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.flush(PATIENCE);
        }
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("exports", &self.export.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn quiet_telemetry_has_a_registry_of_its_own() {
        let (one, other) = (Telemetry::quiet("orders"), Telemetry::quiet("orders"));
        let counter = IntCounter::new("flotilla_things_total", "Things.").unwrap();
        one.registry().register(Box::new(counter)).unwrap();
        assert!(crate::render(one.registry()).contains("flotilla_things_total"));
        assert!(!crate::render(other.registry()).contains("flotilla_things_total"));
        one.shutdown().await;
    }
}
