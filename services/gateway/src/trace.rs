//! The span of a request, and the trace context that is passed on to the services.
//!
//! A trace begins here, and here it is decided whether it is sampled; the services follow. Clients may send a trace of
//! their own, in W3C's or B3's headers.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use flotilla_telemetry::redact::scrub;
use flotilla_telemetry::{KeyValue, Parent, Span, sampled};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::end::End;
use crate::request_id;

/// W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The W3C header for vendors' values.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// B3's headers: read here, and passed on only as W3C's.
pub const B3: [HeaderName; 6] = [
    HeaderName::from_static("b3"),
    HeaderName::from_static("x-b3-traceid"),
    HeaderName::from_static("x-b3-spanid"),
    HeaderName::from_static("x-b3-parentspanid"),
    HeaderName::from_static("x-b3-sampled"),
    HeaderName::from_static("x-b3-flags"),
];

/// A request as its span records it.
#[derive(Debug, Clone, Copy)]
pub struct RequestInfo<'a> {
    /// The client's protocol.
    pub protocol: &'static str,
    /// The HTTP method.
    pub verb: &'a str,
    /// The route's pattern.
    pub route: &'a str,
    /// The path itself, without its query.
    pub path: &'a str,
    /// What is called.
    pub method: &'a str,
    /// The request's id.
    pub id: &'a HeaderValue,
}

/// The fields of every log line of a request.
pub fn scope(name: &str, id: &HeaderValue) -> tracing::Span {
    tracing::info_span!("gateway", method = name, request_id = id.to_str().unwrap_or_default())
}

/// The path as received, or decoded and masked if it contains a secret.
fn path(path: &str) -> String {
    let plain = percent_decode_str(path).decode_utf8_lossy();
    match scrub(&plain) {
        Cow::Owned(masked) => masked,
        Cow::Borrowed(_) => path.to_owned(),
    }
}

/// The span of a request; a child of the client's span if the headers name one.
pub fn span(request: &RequestInfo<'_>, headers: &HeaderMap) -> Span {
    let span = Span::serve(|| parent(headers), || format!("{} {}", request.verb, request.route));
    if span.is_recorded() {
        span.set("http.request.method", request.verb.to_owned());
        span.set("http.route", request.route.to_owned());
        span.set("url.path", path(request.path));
        span.set("url.scheme", "http");
        span.set("rpc.method", request.method.to_owned());
        span.set("flotilla.protocol", request.protocol);
        span.set("flotilla.request_id", request.id.to_str().unwrap_or_default().to_owned());
    }
    span
}

/// How a request ended. Only faults of the fleet are errors.
pub fn ended(span: &Span, end: End, reason: Option<&str>) {
    if !span.is_recorded() {
        return;
    }
    match end {
        End::Http(status) => span.set("http.response.status_code", i64::from(status.as_u16())),
        End::Grpc(_) => span.set("rpc.response.status_code", end.label().to_owned()),
    }
    if let Some(reason) = reason {
        span.event("refused", [KeyValue::new("reason", reason.to_owned())]);
    }
    if end.is_fault() {
        span.fail(end.label().to_owned(), reason.unwrap_or(end.label()).to_owned());
    }
}

/// The trace that a client has brought, if this gateway doesn't record it.
pub fn given(headers: &HeaderMap) -> Option<Parent> {
    if sampled() { None } else { parent(headers) }
}

/// Ensures that the call to the service belongs to this request's trace. If it is sampled, the channel sends the call's
/// own span; otherwise `given` is passed on in W3C's form. A request without a trace still gets a trace id (not
/// sampled), so that an order's journal can be found by it.
pub fn pass_on(given: Option<&Parent>, headers: &mut HeaderMap) {
    for name in &B3 {
        headers.remove(name);
    }
    if sampled() {
        headers.remove(TRACEPARENT);
        return;
    }
    let value = match given {
        Some(given) => given.traceparent(),
        None => unsampled(headers.get(request_id::HEADER).map_or(&[], HeaderValue::as_bytes)),
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(TRACEPARENT, value);
    }
}

fn parent(headers: &HeaderMap) -> Option<Parent> {
    Parent::of_headers(|name| headers.get(name)?.to_str().ok())
}

/// A `traceparent` whose trace id is derived from the request's id, so that one can be found from the other.
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
        pass_on(given(&headers).as_ref(), &mut headers);
        let made = headers[TRACEPARENT].clone();
        assert_eq!(made.len(), 55);
        pass_on(given(&headers).as_ref(), &mut headers);
        assert_eq!(headers[TRACEPARENT], made);
        assert_ne!(unsampled(b"mine-2"), made.to_str().unwrap());
    }

    #[test]
    fn secrets_in_escaped_paths_are_masked() {
        assert_eq!(path("/v1/products/brass%20lantern"), "/v1/products/brass%20lantern");
        assert!(!path("/v1/orders/4539%201488%200343%206467").contains("1488"));
        assert!(!path("/v1/users/ada%40example.com").contains("example"));
    }

    #[test]
    fn a_b3_trace_is_passed_on_as_w3c() {
        let mut headers = HeaderMap::new();
        let b3 = HeaderValue::from_static("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1");
        headers.insert("b3", b3);
        pass_on(given(&headers).as_ref(), &mut headers);
        assert_eq!(headers[TRACEPARENT], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert!(!headers.contains_key("b3"));
    }
}
