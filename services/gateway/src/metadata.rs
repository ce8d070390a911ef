//! Which headers are a call's metadata, and which concern only a connection, a protocol or a browser.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of the connection or the browser, which services don't need.
const REQUEST: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-grpc-web",
];
/// Response headers that aren't metadata.
const RESPONSE: &[&str] =
    &["connection", "content-encoding", "content-length", "content-type", "date", "trailer", "transfer-encoding"];

/// The headers with which a client's call is forwarded by gRPC. `own` is the prefix of its protocol's own headers.
pub fn request(headers: &HeaderMap, own: &[&str]) -> HeaderMap {
    let passes = |name: &str| {
        !REQUEST.contains(&name) && !name.starts_with("sec-") && !own.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut passed = kept(headers, passes);
    passed.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    passed.insert(header::TE, HeaderValue::from_static("trailers"));
    passed
}

/// The metadata in a response's headers or trailers, without gRPC's own.
pub fn response(headers: &HeaderMap) -> HeaderMap {
    kept(headers, |name| !RESPONSE.contains(&name) && !name.starts_with("grpc-"))
}

fn kept(headers: &HeaderMap, passes: impl Fn(&str) -> bool) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if passes(name.as_str()) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// Adds all values of `more`, each under the name that `rename` gives.
pub fn append(headers: &mut HeaderMap, more: &HeaderMap, rename: impl Fn(&HeaderName) -> Option<HeaderName>) {
    for (name, value) in more {
        if let Some(name) = rename(name) {
            headers.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn metadata_of_the_call_is_forwarded_and_that_of_the_connection_is_not() {
        let sent = headers(&[
            ("host", "gateway"),
            ("x-own", "a"),
            ("x-own", "b"),
            ("authorization", "Bearer t"),
            ("connect-timeout-ms", "5"),
            ("grpc-timeout", "1H"),
            ("sec-fetch-mode", "cors"),
            ("content-type", "application/json"),
        ]);
        let passed = request(&sent, &["connect-", "grpc-"]);
        assert_eq!(passed.get_all("x-own").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(passed["authorization"], "Bearer t");
        assert_eq!(passed["content-type"], "application/grpc");
        for name in ["host", "connect-timeout-ms", "grpc-timeout", "sec-fetch-mode"] {
            assert!(!passed.contains_key(name), "{name}");
        }
    }

    #[test]
    fn the_metadata_of_a_response_excludes_grpcs_own_headers() {
        let passed = response(&headers(&[("grpc-status", "0"), ("content-type", "application/grpc"), ("etag", "1")]));
        assert_eq!(passed, headers(&[("etag", "1")]));
    }
}
