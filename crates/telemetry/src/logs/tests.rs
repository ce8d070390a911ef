use super::*;
use crate::writer::Kept;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use prometheus::IntCounter;
use std::time::Duration;
use tracing_subscriber::prelude::*;

fn logged(rust_log: Option<&str>, format: LogFormat, events: impl FnOnce()) -> String {
    let (control, _) = control(&TelemetrySettings::default(), rust_log).unwrap();
    logged_under(&control, format, events)
}

/// The lines that `events` log under `control`.
pub(super) fn logged_under(control: &LogControl, format: LogFormat, events: impl FnOnce()) -> String {
    let kept = Kept::default();
    let dropped = IntCounter::new("dropped", "dropped").unwrap();
    let writer = LogWriter::start(kept.clone(), 64, dropped).unwrap();
    let lines = layer((format, false), writer.clone()).with_filter(control.filter());
    crate::subscribed::under(tracing_subscriber::registry().with(lines), events);
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
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["order_id"], &line["message"]), (&7.into(), &"order placed".into()), "{text}");
    assert_eq!(line["span"]["method"], "PlaceOrder", "{text}");
    assert!(line.get("trace_id").is_none(), "{text}");
}

#[test]
fn a_line_within_a_trace_carries_its_ids_in_every_format() {
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    for format in [LogFormat::Json, LogFormat::Compact, LogFormat::Pretty] {
        let text = logged(None, format, || {
            let (trace, span) = (TraceId::from_hex(trace).unwrap(), SpanId::from_hex(span).unwrap());
            let context = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default());
            let _current = opentelemetry::Context::new().with_remote_span_context(context).attach();
            tracing::info!("within");
        });
        if format == LogFormat::Json {
            let line: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&line["trace_id"], &line["span_id"]), (&trace.into(), &span.into()), "{text}");
        } else {
            assert!(text.contains(&format!("trace_id={trace} span_id={span}\n")), "{text}");
        }
    }
}

#[test]
fn every_line_is_scrubbed_and_json_stays_json() {
    let card = 4_111_111_111_111_111_i64;
    for format in [LogFormat::Json, LogFormat::Compact, LogFormat::Pretty] {
        let text = logged(Some("trace"), format, || {
            let _in = tracing::info_span!("call", to = "ann@example.com").entered();
            tracing::trace!(card, password = "hunter2", header = "Bearer A1b2c3d4", "sent to {}", "bob@example.com");
        });
        for secret in ["4111111111111111", "hunter2", "A1b2c3d4", "ann@", "bob@"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        if format == LogFormat::Json {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
}

#[test]
fn spans_made_for_traces_are_not_in_the_logs() {
    let text = logged(Some("trace"), LogFormat::Json, || {
        let _in = tracing::info_span!(target: crate::SPANS, "SELECT").entered();
        tracing::info!("asked");
    });
    assert!(text.contains("asked") && !text.contains("SELECT"), "{text}");
}

#[test]
fn the_error_for_an_invalid_filter_names_its_origin() {
    let error = control(&TelemetrySettings::default(), Some("info,=,=")).unwrap_err();
    assert!(error.to_string().contains("RUST_LOG"), "{error}");
}
