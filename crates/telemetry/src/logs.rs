//! Which events are logged and what they look like.

use std::env;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::fmt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::error::TelemetryError;
use crate::settings::{LogFormat, TelemetrySettings};
use crate::writer::LogWriter;

/// Libraries that log each frame they move, or that would log about sending logs.
pub(crate) const MUTED: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"];

/// The filter: `RUST_LOG` or else the setting; muted libraries speak only in warnings unless they are named in it.
pub(crate) fn filter(settings: &TelemetrySettings, rust_log: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let (origin, wanted) = match rust_log {
        Some(wanted) if !wanted.trim().is_empty() => ("RUST_LOG", wanted),
        _ => ("telemetry.filter", settings.filter.as_str()),
    };
    let mut directives: Vec<String> = MUTED.iter().map(|target| format!("{target}=warn")).collect();
    directives.extend(wanted.split(',').filter(|d| !d.trim().is_empty()).map(str::to_owned));
    EnvFilter::builder()
        .parse(directives.join(","))
        .map_err(|error| TelemetryError::Filter { origin, reason: error.to_string() })
}

/// How events become text on this process's standard output.
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
    match format {
        LogFormat::Pretty => layer.pretty().boxed(),
        LogFormat::Compact => layer.compact().boxed(),
        LogFormat::Json | LogFormat::Auto => {
            layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Kept;
    use prometheus::IntCounter;
    use std::time::Duration;
    use tracing_subscriber::prelude::*;

    fn logged(rust_log: Option<&str>, format: LogFormat, events: impl FnOnce()) -> String {
        let kept = Kept::default();
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let writer = LogWriter::start(kept.clone(), 64, dropped).unwrap();
        let subscriber = tracing_subscriber::registry()
            .with(filter(&TelemetrySettings::default(), rust_log).unwrap())
            .with(layer((format, false), writer.clone()));
        tracing::subscriber::with_default(subscriber, events);
        writer.flush(Duration::from_secs(5));
        kept.text()
    }

    #[test]
    fn noisy_libraries_are_muted_unless_they_are_named() {
        let events = || {
            tracing::info!(target: "h2::codec", "frame");
            tracing::warn!(target: "h2::codec", "trouble");
            tracing::info!("ours");
        };
        let text = logged(None, LogFormat::Compact, events);
        assert!(!text.contains("frame") && text.contains("trouble") && text.contains("ours"), "{text}");
        let text = logged(Some("warn,h2=info"), LogFormat::Compact, events);
        assert!(text.contains("frame") && !text.contains("ours"), "{text}");
    }

    #[test]
    fn json_lines_are_objects_with_the_fields_at_the_top() {
        let text = logged(None, LogFormat::Json, || {
            let _in = tracing::info_span!("call", method = "PlaceOrder").entered();
            tracing::info!(order_id = 7, "order placed");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with('{') && text.trim_end().ends_with('}'), "{text}");
        for part in ["\"order_id\":7", "\"message\":\"order placed\"", "\"method\":\"PlaceOrder\""] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_filter_that_cant_be_understood_names_its_origin() {
        let error = filter(&TelemetrySettings::default(), Some("info,=,=")).unwrap_err();
        assert!(error.to_string().contains("RUST_LOG"), "{error}");
    }
}
