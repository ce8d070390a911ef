//! The span of a request, and what of the trace goes on to the services.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

use crate::request_id;

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

/// Makes the current span the parent of the service's. Where traces aren't exported, the client's own goes on; a request
/// without one gets a trace id all the same (not sampled), so that an order's journal can be told apart by it.
pub fn pass_on(headers: &mut HeaderMap) {
    let own = flotilla_telemetry::current_traceparent();
    let value = match own {
        Some(own) => own,
        None if headers.contains_key(TRACEPARENT) => return,
        None => unsampled(headers.get(request_id::HEADER).map_or(&[], HeaderValue::as_bytes)),
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(TRACEPARENT, value);
    }
}

/// A `traceparent` whose trace id follows from the request's id: who knows one finds the other.
fn unsampled(request_id: &[u8]) -> String {
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, request_id).hash(&mut hasher);
        // All zeros would be no id.
        hasher.finish().max(1)
    };
    format!("00-{:016x}{:016x}-{:016x}-00", part(0), part(1), part(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_trace_gets_one_that_follows_from_its_id_and_anothers_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(request_id::HEADER, HeaderValue::from_static("mine-1"));
        pass_on(&mut headers);
        let made = headers[TRACEPARENT].clone();
        assert_eq!(made.len(), 55);
        pass_on(&mut headers);
        assert_eq!(headers[TRACEPARENT], made);
        assert_ne!(unsampled(b"mine-2"), made.to_str().unwrap());
    }
}
