//! The client's timeout: `X-Request-Timeout: 2s` or `Prefer: wait=2`.

use std::time::Duration;

use flotilla_config::HumanDuration;
use http::HeaderMap;

use super::text;
use crate::problem::Problem;

/// The shortest of the timeouts in the headers and `longest`.
///
/// # Errors
/// If `X-Request-Timeout` is malformed. A malformed preference is ignored, as RFC 7240 requires.
pub fn requested(headers: &HeaderMap, longest: Duration) -> Result<Duration, Problem> {
    let mut shortest = longest;
    if let Some(value) = text(headers, "x-request-timeout")? {
        let timeout = seconds(value).or_else(|| value.parse().ok().map(HumanDuration::get));
        let unreadable =
            || Problem::bad_request("INVALID_TIMEOUT", "x-request-timeout must be a duration such as 2s or 250ms");
        shortest = timeout.filter(|timeout| !timeout.is_zero()).ok_or_else(unreadable)?.min(longest);
    }
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| seconds(preference.trim().strip_prefix("wait=")?));
    Ok(wait.filter(|wait| !wait.is_zero()).map_or(shortest, |wait| wait.min(shortest)))
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Duration, ()> {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        requested(&headers, Duration::from_secs(10)).map_err(|_| ())
    }

    #[test]
    fn the_shorter_of_two_timeouts_applies() {
        for (timeout, wait, expected) in [("5s", "wait=2", 2), ("2s", "wait=5", 2), ("2s", "wait=long", 2)] {
            let headers = HeaderMap::from_iter([
                (HeaderName::from_static("x-request-timeout"), HeaderValue::from_static(timeout)),
                (HeaderName::from_static("prefer"), HeaderValue::from_static(wait)),
            ]);
            let deadline = requested(&headers, Duration::from_secs(10)).map_err(|_| ());
            assert_eq!(deadline, Ok(Duration::from_secs(expected)), "{timeout} {wait}");
        }
    }

    #[test]
    fn the_client_may_shorten_the_deadline_but_not_lengthen_it() {
        for (name, value, expected) in [
            ("x-request-timeout", "2s", Ok(2000)),
            ("x-request-timeout", "250ms", Ok(250)),
            ("x-request-timeout", "3", Ok(3000)),
            ("x-request-timeout", "1h", Ok(10_000)),
            ("x-request-timeout", "soon", Err(())),
            ("x-request-timeout", "0s", Err(())),
            ("prefer", "wait=5", Ok(5000)),
            ("prefer", "return=minimal, wait=4", Ok(4000)),
            ("prefer", "wait=long", Ok(10_000)),
            ("accept", "*/*", Ok(10_000)),
        ] {
            assert_eq!(with(name, value), expected.map(Duration::from_millis), "{name}: {value}");
        }
    }
}
