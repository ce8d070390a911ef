//! The span of a call, a child of the client's where the request names one, and the scope of its log lines.

use flotilla_telemetry::{KeyValue, Parent};
use http::{HeaderMap, HeaderName};
use tonic::Code;
use tracing::Span;
use tracing::field::Empty;

use super::access_log::is_server_fault;
use crate::RequestId;
use crate::details::code_name;
use crate::methods::Method;

/// W3C trace context.
pub(crate) static TRACEPARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The fields of every log line of this call. Its only creator.
pub(crate) fn scope(method: &Method, id: &RequestId) -> Span {
    tracing::info_span!("rpc", method = method.name.as_str(), request_id = id.as_str(), code = Empty)
}

/// The span of this call, if its trace is sampled. Health and reflection get no span.
pub(crate) fn span(method: &Method, id: &RequestId, headers: &HeaderMap) -> flotilla_telemetry::Span {
    if method.system {
        return flotilla_telemetry::Span::none();
    }
    let span = flotilla_telemetry::Span::serve(|| parent(headers), || method.name.clone());
    if span.is_recorded() {
        span.set("rpc.system.name", "grpc");
        span.set("rpc.method", method.name.clone());
        span.set("flotilla.request_id", id.as_str().to_owned());
    }
    span
}

/// Records how the call ended. Only failures of the server are errors here; others concern only the client.
pub(crate) fn ended(span: &flotilla_telemetry::Span, code: Code) {
    span.set("rpc.response.status_code", code_name(code));
    if is_server_fault(code) {
        span.fail(code_name(code), code.description());
    } else if code != Code::Ok {
        span.event("refused", [KeyValue::new("rpc.response.status_code", code_name(code))]);
    }
}

/// The trace context of a request in W3C's form, in whatever form it was sent.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<std::sync::Arc<str>> {
    match headers.get(&TRACEPARENT_HEADER) {
        Some(given) => given.to_str().ok().map(Into::into),
        None => parent(headers).map(|parent| parent.traceparent().into()),
    }
}

fn parent(headers: &HeaderMap) -> Option<Parent> {
    Parent::of_headers(|name| headers.get(name)?.to_str().ok())
}
