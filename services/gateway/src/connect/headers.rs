//! Connect's request headers.

use std::time::Duration;

use flotilla_rpc::{RpcError, invalid};
use flotilla_wire::timeout::{self, TIMEOUT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::metadata;

const VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const TIMEOUT_MS: HeaderName = HeaderName::from_static("connect-timeout-ms");
/// Maximum number of digits in a timeout.
const TIMEOUT_DIGITS: usize = 10;

/// The headers with which a call is forwarded by gRPC.
///
/// # Errors
/// The client uses another version, or its timeout is invalid.
pub fn forwarded(headers: &HeaderMap) -> Result<HeaderMap, RpcError> {
    if headers.get(VERSION).is_some_and(|version| version != "1") {
        return Err(invalid("connect-protocol-version", "must be 1"));
    }
    let mut forwarded = metadata::request(headers, &["connect-", "grpc-"]);
    if let Some(value) = headers.get(TIMEOUT_MS) {
        let unreadable = || invalid("connect-timeout-ms", "must be a number of milliseconds with at most 10 digits");
        let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let text = text.filter(|text| text.len() <= TIMEOUT_DIGITS).ok_or_else(unreadable)?;
        let timeout = Duration::from_millis(text.parse().map_err(|_| unreadable())?);
        forwarded.insert(TIMEOUT, timeout::value(timeout));
    }
    Ok(forwarded)
}

/// A header's bytes.
pub fn bytes<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> Result<HeaderMap, RpcError> {
        forwarded(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    #[test]
    fn the_timeout_is_translated_to_grpcs() {
        for (millis, seconds) in [("250", 0.25), ("0", 0.0), ("9999999999", 9_999_999.0)] {
            let forwarded = timeout::read(&with(TIMEOUT_MS, millis).unwrap());
            assert_eq!(forwarded.map(|timeout| timeout.as_secs_f64()), Some(seconds), "{millis}");
        }
        for wrong in ["-1", "soon", "", "12345678901", "1.5"] {
            assert!(with(TIMEOUT_MS, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        assert!(with(VERSION, "1").is_ok());
        assert!(with(VERSION, "2").is_err());
    }
}
