//! `grpc-timeout`: how long a client waits, as at most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What the headers ask for; `None` where they don't or where it can't be read, which is the service's to say.
pub fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The header's value for a number of milliseconds.
pub fn millis(count: u64) -> HeaderValue {
    let text = if count < 100_000_000 { format!("{count}m") } else { format!("{}S", (count / 1000).min(99_999_999)) };
    HeaderValue::try_from(text).expect("digits and a letter may stand in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Duration> {
        asked(&HeaderMap::from_iter([(TIMEOUT, text.parse().unwrap())]))
    }

    #[test]
    fn every_unit_is_read_and_rubbish_is_not() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("5m", Some(Duration::from_millis(5))),
            ("6u", Some(Duration::from_micros(6))),
            ("7n", Some(Duration::from_nanos(7))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("5", None),
            ("-5S", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for count in [0, 1, 99_999_999, 100_000_000, 9_999_999_999] {
            let headers = HeaderMap::from_iter([(TIMEOUT, millis(count))]);
            assert!(asked(&headers).unwrap() <= Duration::from_millis(count));
        }
        assert_eq!(millis(250), "250m");
    }
}
