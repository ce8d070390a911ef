//! Log records over OTLP.
//!
//! This replaces the OpenTelemetry project's bridge, whose records can't be changed after their creation, so secrets
//! couldn't be masked. Guarantees: the queue is bounded, and records that don't fit are dropped and counted; everything
//! sent is scrubbed ([`scrub`](crate::redact::scrub)); events of the libraries that carry the export aren't exported.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::{Context as TelemetryContext, Key};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogExporter, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use prometheus::IntCounter;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::counted::Counted;
use super::event_filter::is_muted;
use crate::error::TelemetryError;
use crate::redact::{scrub, scrub_value};
use crate::service_scope::ServiceScope;
use crate::traces::ExportMetrics;

/// Value of the label `signal`.
const SIGNAL: &str = "logs";
/// Name of the scope of records without a service.
const PROCESS: &str = "flotilla";

/// The running export of logs.
pub(crate) struct LogExport {
    provider: SdkLoggerProvider,
    services: Vec<&'static str>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    dropped: IntCounter,
}

impl LogExport {
    /// Starts the export, configured by the standard `OTEL_*` variables. Needs a tokio runtime. `services` are those of
    /// a process that runs several, with their resources.
    pub(crate) fn start(
        process: Resource,
        services: Vec<(&'static str, Resource)>,
        queue: usize,
        metrics: &ExportMetrics,
    ) -> Result<Self, TelemetryError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(TelemetryError::Export("it needs a tokio runtime".to_owned()));
        }
        let exporter = opentelemetry_otlp::LogExporter::builder()
            .with_tonic()
            .build()
            .map_err(|error| TelemetryError::Export(error.to_string()))?;
        Ok(Self::over(exporter, process, services, queue, metrics))
    }

    fn over(
        exporter: impl LogExporter + 'static,
        process: Resource,
        services: Vec<(&'static str, Resource)>,
        queue: usize,
        metrics: &ExportMetrics,
    ) -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        let names = services.iter().map(|(name, _)| *name).collect();
        let failures = metrics.failures.with_label_values(&[SIGNAL]);
        let counted = Counted::new(exporter, services, Arc::clone(&waiting), failures);
        let queue = queue.max(1);
        let config = BatchConfigBuilder::default().with_max_queue_size(queue).build();
        let processor = BatchLogProcessor::builder(counted).with_batch_config(config).build();
        let provider = SdkLoggerProvider::builder().with_log_processor(processor).with_resource(process).build();
        Self { provider, services: names, waiting, queue, dropped: metrics.dropped.with_label_values(&[SIGNAL]) }
    }

    /// The layer that exports events.
    pub(crate) fn layer(&self) -> OtlpLayer {
        let services = self.services.iter().map(|name| (ServiceScope::of(name), self.provider.logger(*name)));
        OtlpLayer {
            process: self.provider.logger(PROCESS),
            services: services.collect(),
            waiting: Arc::clone(&self.waiting),
            queue: self.queue,
            dropped: self.dropped.clone(),
        }
    }

    /// Sends the queued records. Blocks for at most `max_wait`.
    pub(crate) fn stop(&self, max_wait: Duration) {
        // A failure can't be logged: the log's export is what failed.
        drop(self.provider.shutdown_with_timeout(max_wait));
    }
}

/// Exports events as log records.
pub(crate) struct OtlpLayer {
    process: SdkLogger,
    services: Vec<(ServiceScope, SdkLogger)>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    dropped: IntCounter,
}

impl<S> tracing_subscriber::Layer<S> for OtlpLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // An export that exports its own events would never end.
        if is_muted(metadata.target()) || TelemetryContext::is_current_telemetry_suppressed() {
            return;
        }
        // The SDK's queue drops silently; this bound is the same and counts.
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.dropped.inc();
            return;
        }
        let current = ServiceScope::current();
        let own = self.services.iter().find(|(scope, _)| *scope == current);
        let logger = own.map_or(&self.process, |(_, logger)| logger);
        let mut record = logger.create_log_record();
        let (severity, text) = severity(*metadata.level());
        record.set_severity_number(severity);
        record.set_severity_text(text);
        record.set_target(metadata.target());
        // The SDK adds the ids of the current span.
        event.record(&mut Fields(&mut record));
        logger.emit(record);
    }
}

fn severity(level: Level) -> (Severity, &'static str) {
    match level {
        Level::ERROR => (Severity::Error, "ERROR"),
        Level::WARN => (Severity::Warn, "WARN"),
        Level::INFO => (Severity::Info, "INFO"),
        Level::DEBUG => (Severity::Debug, "DEBUG"),
        Level::TRACE => (Severity::Trace, "TRACE"),
    }
}

/// Writes an event's fields into a record, scrubbed.
struct Fields<'a>(&'a mut SdkLogRecord);

impl Fields<'_> {
    fn text(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.set_body(AnyValue::from(scrub(value).into_owned()));
        } else {
            self.add(field, AnyValue::from(scrub_value(field.name(), value).into_owned()));
        }
    }

    fn add(&mut self, field: &Field, value: AnyValue) {
        self.0.add_attribute(Key::from_static_str(field.name()), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        // It may be a card number.
        if value.unsigned_abs() > 999_999_999_999 {
            let text = value.to_string();
            if scrub(&text) != text {
                return self.text(field, &text);
            }
        }
        self.add(field, AnyValue::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.text(field, &value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, AnyValue::Boolean(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, AnyValue::Double(value));
    }
}

#[cfg(test)]
#[path = "otlp_tests.rs"]
mod tests;
