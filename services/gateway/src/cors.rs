//! Cross-origin requests: which pages of other origins may call the gateway from a browser, in every protocol.
//!
//! No cookies are involved (tokens travel in a header that a page has to set), so credentials are never allowed and an
//! open gateway may allow `*`. If no origin is configured, browsers block pages of other origins.

use std::collections::HashSet;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tonic::body::Body;

/// Every origin.
const ANY: &str = "*";
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What a page may send: REST's headers, gRPC-Web's and Connect's.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, content-encoding, content-type, connect-accept-encoding, connect-content-encoding, \
     connect-protocol-version, connect-timeout-ms, grpc-timeout, idempotency-key, if-match, if-none-match, \
     last-event-id, prefer, traceparent, tracestate, x-grpc-web, x-request-id, x-request-timeout, x-user-agent",
);
/// What a page may read beyond the few headers that it always may.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "allow, connect-accept-encoding, connect-content-encoding, etag, grpc-encoding, grpc-message, grpc-status, \
     grpc-status-details-bin, retry-after, www-authenticate, x-request-id",
);
/// How long a browser may remember a preflight, in seconds: the longest that any browser honours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins whose pages may call.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    any: bool,
    origins: HashSet<HeaderValue>,
}

impl Cors {
    /// Allows these origins, written as browsers do (`https://shop.example`), or all of them by `*`.
    pub fn new(origins: &[String]) -> Self {
        let values = origins.iter().filter_map(|origin| HeaderValue::try_from(origin.trim_end_matches('/')).ok());
        Self { any: origins.iter().any(|origin| origin == ANY), origins: values.collect() }
    }

    /// The response to a browser's preflight request; `None` for any other request.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let origin = headers.get(ORIGIN)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        self.allow(Some(origin), response.headers_mut());
        if response.headers_mut().remove(ACCESS_CONTROL_EXPOSE_HEADERS).is_some() {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        Some(response)
    }

    /// Marks a response as readable by pages of the request's `origin`, if that origin is allowed.
    pub fn allow(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        if self.any {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static(ANY));
        } else if self.origins.is_empty() {
            return;
        } else {
            // Caches must store the response by origin, even if this one isn't allowed.
            response.append(VARY, HeaderValue::from_static("origin"));
            let Some(origin) = origin.filter(|origin| self.origins.contains(*origin)) else { return };
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        Cors::new(&origins.iter().map(|&origin| origin.to_owned()).collect::<Vec<_>>())
    }

    fn asks(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (ORIGIN, HeaderValue::from_static(origin)),
            (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PATCH")),
        ])
    }

    #[test]
    fn a_preflight_of_an_allowed_origin_is_allowed() {
        let cors = cors(&["https://shop.example/", "http://localhost:3000"]);
        let response = cors.preflight(&Method::OPTIONS, &asks("https://shop.example")).unwrap();
        let headers = response.headers();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://shop.example");
        assert!(headers[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("PATCH"));
        assert!(headers[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains("idempotency-key"));
        assert_eq!(headers[VARY], "origin");
    }

    #[test]
    fn a_preflight_of_another_origin_is_not_allowed() {
        for cors in [cors(&["https://shop.example"]), cors(&[])] {
            let response = cors.preflight(&Method::OPTIONS, &asks("https://evil.example")).unwrap();
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
            assert!(!response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        }
    }

    #[test]
    fn other_requests_are_passed_on() {
        let cors = cors(&["*"]);
        assert!(cors.preflight(&Method::GET, &asks("https://a.example")).is_none());
        assert!(cors.preflight(&Method::OPTIONS, &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_star_allows_every_origin() {
        let mut headers = HeaderMap::new();
        cors(&["*"]).allow(None, &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(headers[ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap().contains("grpc-status"));
    }
}
