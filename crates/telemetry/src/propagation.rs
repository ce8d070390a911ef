//! Propagates trace contexts between processes: W3C Trace Context, and B3 for peers that use it.
//!
//! Incoming headers can be W3C or B3, B3 in one header or several; if both are present, W3C wins. Outgoing headers are
//! W3C unless `OTEL_PROPAGATORS` lists others. Baggage isn't propagated.

use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
const B3: &str = "b3";
const B3_TRACE: &str = "x-b3-traceid";
const B3_SPAN: &str = "x-b3-spanid";
const B3_SAMPLED: &str = "x-b3-sampled";
const B3_FLAGS: &str = "x-b3-flags";

/// Set once, by `init`.
static OUTGOING: OnceLock<Outgoing> = OnceLock::new();

/// The formats of outgoing trace headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    w3c: bool,
    b3: bool,
    b3_multi: bool,
}

impl Outgoing {
    const W3C: Self = Self { w3c: true, b3: false, b3_multi: false };

    /// The formats that `OTEL_PROPAGATORS` lists; unknown ones (`baggage`) are ignored.
    pub(crate) fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let listed = variable("OTEL_PROPAGATORS").unwrap_or_default();
        if listed.trim().is_empty() {
            return Self::W3C;
        }
        let has = |name: &str| listed.split(',').any(|given| given.trim().eq_ignore_ascii_case(name));
        Self { w3c: has("tracecontext"), b3: has("b3"), b3_multi: has("b3multi") }
    }

    /// Sets the formats of this process.
    pub(crate) fn set(self) {
        // Only the first call has an effect, as with the subscriber.
        let _ = OUTGOING.set(self);
    }

    fn write(self, parent: &Parent, mut header: impl FnMut(&'static str, String)) {
        let Parent(context) = parent;
        let (trace, span) = (context.trace_id(), context.span_id());
        let sampled = u8::from(context.is_sampled());
        if self.w3c {
            header(TRACEPARENT, parent.traceparent());
        }
        if self.b3 {
            header(B3, format!("{trace}-{span}-{sampled}"));
        }
        if self.b3_multi {
            header(B3_TRACE, trace.to_string());
            header(B3_SPAN, span.to_string());
            header(B3_SAMPLED, sampled.to_string());
        }
    }
}

/// The context of a span in any process, from which child spans are created.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent(SpanContext);

impl Parent {
    /// Parses a `traceparent`; `None` if it is invalid.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        parse(traceparent).map(Self)
    }

    /// Reads the headers of a request: W3C, or B3 in one header or several.
    #[must_use]
    pub fn of_headers<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        if let Some(parent) = header(TRACEPARENT).and_then(parse) {
            return Some(Self(parent));
        }
        if let Some(single) = header(B3) {
            return parse_b3(single).map(Self);
        }
        let (trace, span) = (header(B3_TRACE)?, header(B3_SPAN)?);
        let sampled = if header(B3_FLAGS) == Some("1") { Some("d") } else { header(B3_SAMPLED) };
        b3(trace, span, sampled).map(Self)
    }

    /// Whether the trace is sampled.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// As a W3C `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        traceparent(&self.0)
    }

    pub(crate) fn context(&self) -> &SpanContext {
        &self.0
    }
}

/// Writes the headers of a request that belongs to `traceparent`, in the process's formats.
pub fn write_headers(traceparent: &str, mut header: impl FnMut(&'static str, String)) {
    match OUTGOING.get() {
        None | Some(&Outgoing::W3C) => header(TRACEPARENT, traceparent.to_owned()),
        Some(outgoing) => {
            if let Some(parent) = Parent::parse(traceparent) {
                outgoing.write(&parent, header);
            }
        }
    }
}

/// Whether a `traceparent` belongs to a sampled trace. It reads one digit and doesn't validate the rest.
#[must_use]
pub fn is_sampled(traceparent: &str) -> bool {
    traceparent
        .as_bytes()
        .get(54)
        .is_some_and(|digit| matches!(digit, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'))
}

/// The `traceparent` of the current span; `None` if there is no recorded one.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let parent = span.span_context();
        parent.is_valid().then(|| traceparent(parent))
    })
}

/// Makes `span` a child of the span that `traceparent` names. Must be called before the span is entered. Does nothing if
/// the `traceparent` is invalid or traces aren't exported.
pub fn set_parent(span: &Span, traceparent: &str) {
    if let Some(parent) = parse(traceparent) {
        // It fails when no layer exports traces, which is fine.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

pub(crate) fn traceparent(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}

fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.trim().split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let span = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    // Version 00 ends here; later ones may go on, ff is forbidden.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    context(trace, span, TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED)
}

/// `{trace}-{span}`, then perhaps `-{sampled}` and `-{parent}`. A lone sampling decision names no parent.
fn parse_b3(single: &str) -> Option<SpanContext> {
    let mut parts = single.trim().split('-');
    let (trace, span) = (parts.next()?, parts.next()?);
    b3(trace, span, parts.next())
}

/// B3's trace ids may have half the digits. A missing sampling decision counts as not sampled.
fn b3(trace: &str, span: &str, sampled: Option<&str>) -> Option<SpanContext> {
    let span = hex(span, 16)?;
    let sampled = match sampled {
        Some("1" | "d" | "true") => TraceFlags::SAMPLED,
        Some("0" | "false") | None => TraceFlags::default(),
        Some(_) => return None,
    };
    match trace.len() {
        16 => context(&format!("{:0>32}", hex(trace, 16)?), span, sampled),
        _ => context(hex(trace, 32)?, span, sampled),
    }
}

fn context(trace: &str, span: &str, flags: TraceFlags) -> Option<SpanContext> {
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// The text if it has that many lower-case hexadecimal digits and nothing else.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let fine = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fine.then_some(text)
}

#[cfg(test)]
#[path = "propagation_tests.rs"]
mod tests;
