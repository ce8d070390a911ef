//! The ways in which telemetry fails to start.

/// Telemetry can't start. Nothing that happens later is an error: telemetry never stops its process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `RUST_LOG` or the setting `telemetry.filter` isn't a filter.
    #[error("invalid log filter from {origin}: {reason}")]
    Filter {
        /// The variable or the setting.
        origin: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The `OTEL_*` variables can't be used.
    #[error("the export can't be set up: {0}")]
    Export(String),
    /// Logs are exported over OTLP, but no endpoint is set.
    #[error("telemetry.output asks for OTLP, but OTEL_EXPORTER_OTLP_ENDPOINT names no collector")]
    Endpoint,
    /// A metric can't be registered.
    #[error("a metric can't be registered: {0}")]
    Metric(#[from] prometheus::Error),
    /// The thread that writes the logs can't be started.
    #[error("the log writer can't be started: {0}")]
    Writer(#[source] std::io::Error),
    /// A global subscriber is already set.
    #[error("telemetry was started before")]
    Started,
}
