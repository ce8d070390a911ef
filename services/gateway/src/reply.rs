//! Complete HTTP responses: JSON with its etag; 304 for clients that have it; compressed if that is accepted and worth
//! it.

use bytes::Bytes;
use flotilla_transcode::Answer;
use flotilla_wire::{Encoding, gzip};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use tonic::body::Body;

use crate::media_type::JSON;
use crate::message::MIN_COMPRESSED;

/// A response with a complete body.
pub fn full(body: Bytes) -> Response<Body> {
    Response::new(Body::new(Full::new(body)))
}

/// The response to a request with these headers.
pub fn answer(method: &Method, request: &HeaderMap, answer: Answer<'_>) -> Response<Body> {
    let tag = answer.etag.and_then(quoted);
    let mut response = match &tag {
        Some(tag) if is_known(method, request, tag) => not_modified(),
        _ => packed(request, JSON, answer.json.into()),
    };
    let headers = response.headers_mut();
    // The response may be for this caller only, so shared caches mustn't store it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    response
}

/// An entity tag as HTTP writes it.
fn quoted(tag: &str) -> Option<HeaderValue> {
    let is_quoted = tag.starts_with('"') || tag.starts_with("W/");
    if is_quoted { HeaderValue::from_str(tag).ok() } else { HeaderValue::try_from(format!("\"{tag}\"")).ok() }
}

/// 304.
pub fn not_modified() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// Whether a read names the current etag. Weak comparison, as RFC 9110 requires for `If-None-Match`.
pub fn is_known(method: &Method, request: &HeaderMap, tag: &HeaderValue) -> bool {
    if method != Method::GET && method != Method::HEAD {
        return false;
    }
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Some(tag) = tag.to_str().ok().map(strong) else { return false };
    let lists = request.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|known| known.trim() == "*" || strong(known) == tag)
}

/// A body in the encoding that the client accepts.
pub fn packed(request: &HeaderMap, media_type: HeaderValue, body: Bytes) -> Response<Body> {
    let wanted = Encoding::accepted(request.get(ACCEPT_ENCODING).map(HeaderValue::as_bytes));
    let smaller = if wanted == Encoding::Gzip { gzip::deflate(&body, MIN_COMPRESSED) } else { None };
    let is_packed = smaller.is_some();
    let mut response = full(smaller.map_or(body, Bytes::from));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(Encoding::GZIP));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn tagged(length: usize) -> Answer<'static> {
        Answer { json: vec![b'1'; length], etag: Some("\"7\""), resume_token: None }
    }

    #[test]
    fn a_client_with_the_current_response_gets_304_for_reads_only() {
        for (value, method, status) in [
            ("\"7\"", Method::GET, 304),
            ("\"6\", W/\"7\"", Method::HEAD, 304),
            ("*", Method::GET, 304),
            ("\"6\"", Method::GET, 200),
            ("\"7\"", Method::POST, 200),
        ] {
            let response = answer(&method, &request(IF_NONE_MATCH, value), tagged(5));
            assert_eq!(response.status().as_u16(), status, "{method} {value}");
            assert_eq!(response.headers()[ETAG], "\"7\"");
        }
    }

    #[test]
    fn a_long_response_is_compressed_for_clients_that_accept_it() {
        let get = |headers, length| answer(&Method::GET, &headers, tagged(length));
        let packed = get(request(ACCEPT_ENCODING, "gzip, br"), 5000);
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        assert!(http_body::Body::size_hint(packed.body()).exact().unwrap() < 1000);
        for plain in [get(HeaderMap::new(), 5000), get(request(ACCEPT_ENCODING, "gzip"), 100)] {
            assert!(!plain.headers().contains_key(CONTENT_ENCODING));
            assert_eq!(plain.headers()[VARY], "accept-encoding");
        }
    }

    #[test]
    fn a_tag_is_quoted_once() {
        assert_eq!(quoted("5").unwrap(), "\"5\"");
        assert_eq!(quoted("\"5\"").unwrap(), "\"5\"");
    }
}
