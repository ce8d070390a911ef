//! The span of a call, a child of the client's span if the request names one.

use http::{HeaderMap, HeaderName};
use tracing::Span;
use tracing::field::Empty;

use crate::RequestId;
use crate::methods::Method;

/// W3C trace context.
pub(crate) static TRACEPARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The span in which everything of this call happens. Its only creator.
pub(crate) fn span(method: &Method, id: &RequestId, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "rpc",
        otel.name = method.name.as_str(),
        otel.kind = "server",
        otel.status_code = Empty,
        method = method.name.as_str(),
        request_id = id.as_str(),
        code = Empty,
    );
    if !span.is_disabled()
        && let Some(traceparent) = headers.get(&TRACEPARENT_HEADER).and_then(|value| value.to_str().ok())
    {
        flotilla_telemetry::set_parent(&span, traceparent);
    }
    span
}
