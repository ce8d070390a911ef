//! Which events are logged and what they look like.

mod control;
mod counted;
mod event_filter;
mod filter;
mod ids;
mod otlp;
mod words;

use std::env;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use crate::error::TelemetryError;
use crate::settings::{LogFormat, TelemetrySettings};
use crate::writer::LogWriter;
use ids::WithIds;

pub use control::{LogControl, LogRule, LogRuleError, LogScope, LogState};
pub use filter::caller_is;
pub(crate) use otlp::LogExport;
pub(crate) use words::filter as check_filter;

/// The filter from `RUST_LOG` or else the setting. The boolean is whether it is the setting's, and changes with it.
pub(crate) fn control(
    settings: &TelemetrySettings,
    rust_log: Option<&str>,
) -> Result<(LogControl, bool), TelemetryError> {
    match rust_log {
        Some(wanted) if !wanted.trim().is_empty() => Ok((LogControl::new(wanted, "RUST_LOG")?, false)),
        _ => Ok((LogControl::new(&settings.filter.get(), "telemetry.filter")?, true)),
    }
}

/// The format of events on this process's standard output, and whether it is coloured.
pub(crate) fn style(format: LogFormat) -> (LogFormat, bool) {
    let terminal = io::stdout().is_terminal();
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let format = match format {
        LogFormat::Auto if terminal => LogFormat::Pretty,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    };
    (format, colour)
}

/// The layer that writes events.
pub(crate) fn layer<S>(
    (format, colour): (LogFormat, bool),
    writer: LogWriter,
) -> Box<dyn Layer<S> + Send + Sync + 'static>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(colour);
    // A line with ids is written to memory first, so the format can't detect the terminal and colours are set explicitly.
    match format {
        LogFormat::Pretty => {
            layer.pretty().map_event_format(|inner| WithIds { inner: inner.with_ansi(colour), json: false }).boxed()
        }
        LogFormat::Compact => {
            layer.compact().map_event_format(|inner| WithIds { inner: inner.with_ansi(colour), json: false }).boxed()
        }
        LogFormat::Json | LogFormat::Auto => layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .map_event_format(|inner| WithIds { inner, json: true })
            .boxed(),
    }
}

#[cfg(test)]
#[path = "logs/tests.rs"]
mod tests;
