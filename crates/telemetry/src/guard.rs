//! Starting and stopping.

use std::env;
use std::io;
use std::time::Duration;

use flotilla_config::Live;
use prometheus::{IntCounter, Registry};
use tokio::task::JoinHandle;
use tracing_subscriber::Layer;
use tracing_subscriber::prelude::*;

use crate::error::TelemetryError;
use crate::logs::{LogControl, LogExport};
use crate::settings::TelemetrySettings;
use crate::traces::{Export, ExportMetrics};
use crate::writer::LogWriter;
use crate::{logs, metrics, panics, traces};

/// How long stopping waits for spans to be sent, and then for logs to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The running telemetry of a process; keep it until the end of `main`.
pub struct Telemetry {
    registry: Registry,
    export: Option<Export>,
    records: Option<LogExport>,
    control: LogControl,
    /// Whether the filter of the logs comes from the setting.
    live_filter: bool,
    /// Expires log rules and follows the filter's setting.
    control_task: Option<JoinHandle<()>>,
    writer: Option<LogWriter>,
}

/// Starts telemetry: sets the global subscriber, and exports traces if the environment names a collector. Must be called
/// once, by `main`, inside the runtime.
///
/// # Errors
/// A filter or an endpoint is invalid, or telemetry was started before.
pub fn init(service: &'static str, settings: &TelemetrySettings) -> Result<Telemetry, TelemetryError> {
    start(service, &[], settings)
}

/// As [`init`], for a process that runs these services: each gets its part by [`Telemetry::of_service`].
///
/// # Errors
/// As [`init`].
pub fn init_shared(
    process: &'static str,
    services: &[&'static str],
    settings: &TelemetrySettings,
) -> Result<Telemetry, TelemetryError> {
    start(process, services, settings)
}

fn start(
    process: &'static str,
    services: &[&'static str],
    settings: &TelemetrySettings,
) -> Result<Telemetry, TelemetryError> {
    let registry = metrics::process_registry()?;
    if services.is_empty() {
        metrics::register_build(process, &registry)?;
    }
    let dropped =
        IntCounter::new("flotilla_log_lines_dropped_total", "Log lines dropped because their reader was too slow.")?;
    registry.register(Box::new(dropped.clone()))?;
    let (control, live) = logs::control(settings, env::var("RUST_LOG").ok().as_deref())?;
    let writer = LogWriter::start(io::stdout(), settings.log_queue, dropped).map_err(TelemetryError::Writer)?;
    let variable = |name: &str| env::var(name).ok();
    traces::set_propagators(variable);
    let exporting = ExportMetrics::register(&registry)?;
    let export = Export::start(process, services, settings.traces.ratio, &exporting, variable)?;
    let records = match settings.output.is_otlp() {
        true if !traces::wanted("LOGS", variable) => return Err(TelemetryError::Endpoint),
        true => {
            let own = services.iter().map(|name| (*name, traces::resource(name, variable))).collect();
            Some(LogExport::start(traces::resource(process, variable), own, settings.log_queue, &exporting)?)
        }
        false => None,
    };
    let mut layers: Vec<Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>> = Vec::new();
    if settings.output.is_stdout() {
        let lines = logs::layer(logs::style(settings.format), writer.clone());
        layers.push(lines.with_filter(control.filter()).boxed());
    }
    if let Some(records) = &records {
        layers.push(records.layer().with_filter(control.filter()).boxed());
    }
    if let Some(tracer) = export.as_ref().and_then(Export::tracer) {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        layers.push(spans.with_filter(traces::filter()).boxed());
    }
    tracing_subscriber::registry().with(layers).try_init().map_err(|_| TelemetryError::Started)?;
    if let Some(export) = &export {
        export.install();
    }
    panics::install_hook(!settings.output.is_stdout());
    let control_task = tokio::runtime::Handle::try_current()
        .map(|runtime| runtime.spawn(control.clone().run(live.then(|| settings.filter.subscribe()))));
    let (control_task, writer) = (control_task.ok(), Some(writer));
    Ok(Telemetry { registry, export, records, control, live_filter: live, control_task, writer })
}

impl Telemetry {
    /// Telemetry for tests: a registry of its own, no subscriber, no export.
    #[must_use]
    pub fn quiet(service: &'static str) -> Self {
        let registry = metrics::registry(service).unwrap_or_default();
        let control = LogControl::new("info", "telemetry.filter").expect("a level is a filter");
        Self { registry, export: None, records: None, control, live_filter: false, control_task: None, writer: None }
    }

    /// The part of one service of this process: a registry of its own; logs and traces are those of the process.
    ///
    /// # Errors
    /// The metrics of the build can't be registered.
    pub fn of_service(&self, service: &'static str) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        metrics::register_build(service, &registry)?;
        let control = self.control.clone();
        Ok(Self {
            registry,
            export: None,
            records: None,
            control,
            live_filter: false,
            control_task: None,
            writer: None,
        })
    }

    /// Applies changes of this setting to the filter of the process's logs, unless `RUST_LOG` sets that. Ends with the
    /// setting.
    pub fn follow_filter(&self, filter: &Live<String>) -> impl Future<Output = ()> + Send + use<> {
        let (mut changes, control, live) = (filter.subscribe(), self.control.clone(), self.live_filter);
        async move {
            while live && changes.changed().await.is_ok() {
                let filter = changes.borrow_and_update().clone();
                control.apply(&filter);
            }
        }
    }

    /// The control that changes what is logged.
    #[must_use]
    pub fn log_control(&self) -> LogControl {
        self.control.clone()
    }

    /// Where metrics are registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Sends the last spans and writes the last log lines; takes two seconds at most.
    pub async fn shutdown(mut self) {
        let (export, records, writer) = (self.export.take(), self.records.take(), self.writer.take());
        if let Some(task) = self.control_task.take() {
            task.abort();
            // The result is the abort.
            drop(task.await);
        }
        if let Some(export) = export {
            export.stop(FLUSH_TIMEOUT).await;
        }
        let flush = tokio::task::spawn_blocking(move || {
            if let Some(records) = records {
                records.stop(FLUSH_TIMEOUT);
            }
            if let Some(writer) = writer {
                writer.flush(FLUSH_TIMEOUT);
            }
        });
        // The closure doesn't panic, and a panic could no longer be logged anyway.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT * 2, flush).await;
    }
}

impl Drop for Telemetry {
    /// Writes the last lines of a process that ends early, because they are its most important ones.
    fn drop(&mut self) {
        if let Some(task) = self.control_task.take() {
            task.abort();
        }
        if let Some(writer) = self.writer.take() {
            writer.flush(FLUSH_TIMEOUT);
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
