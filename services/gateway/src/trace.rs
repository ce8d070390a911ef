//! The span of a request, and what of the trace goes on to the services.

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

/// W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Its companion of vendors' values.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The span in which a request is answered; a child of the client's where the headers name one.
pub fn span(name: &str, id: &HeaderValue, headers: &HeaderMap) -> Span {
    let id = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("gateway", otel.name = name, otel.kind = "server", method = name, request_id = id);
    if !span.is_disabled()
        && let Some(parent) = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok())
    {
        flotilla_telemetry::set_parent(&span, parent);
    }
    span
}

/// Makes the current span the parent of the service's. Where traces aren't exported, the client's own goes on.
pub fn pass_on(headers: &mut HeaderMap) {
    if let Some(own) = flotilla_telemetry::current_traceparent()
        && let Ok(value) = HeaderValue::try_from(own)
    {
        headers.insert(TRACEPARENT, value);
    }
}
