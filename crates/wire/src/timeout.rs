//! `grpc-timeout`: a client's timeout, as at most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header.
pub const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The largest number of eight digits.
const MAX_COUNT: u128 = 99_999_999;
/// Longer timeouts are ignored.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The timeout that headers ask for; `None` if there is none or it can't be read.
pub fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(count.checked_mul(3600)?),
        "M" => Duration::from_secs(count.checked_mul(60)?),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    (timeout <= LONGEST).then_some(timeout)
}

/// A timeout as the header's value, in the finest unit that eight digits can hold.
pub fn value(timeout: Duration) -> HeaderValue {
    let units = [(timeout.as_nanos(), 'n'), (timeout.as_micros(), 'u'), (timeout.as_millis(), 'm')];
    let text = units
        .into_iter()
        .find(|(count, _)| *count <= MAX_COUNT)
        .map_or_else(|| format!("{}S", timeout.as_secs().min(99_999_999)), |(count, unit)| format!("{count}{unit}"));
    HeaderValue::try_from(text).expect("digits and a letter may stand in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Duration> {
        super::read(&HeaderMap::from_iter([(TIMEOUT, text.parse().unwrap())]))
    }

    #[test]
    fn timeouts_of_every_unit_are_read_and_invalid_ones_are_not() {
        for (text, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("5m", Duration::from_millis(5)),
            ("6u", Duration::from_micros(6)),
            ("7n", Duration::from_nanos(7)),
        ] {
            assert_eq!(read(text), Some(expected));
        }
        for text in ["", "S", "1", "5", "-1S", "+1S", "1.5S", "123456789S", "1s", "99999999H"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_written_timeout_reads_the_same_or_a_little_shorter() {
        for nanos in [0, 1, 99_999_999, 100_000_000, 1_234_567_891, 99_999_999_999_999, 3_600_000_000_000_000] {
            let timeout = Duration::from_nanos(nanos);
            let read = read(value(timeout).to_str().unwrap()).unwrap();
            assert!(read <= timeout && timeout - read < Duration::from_secs(1), "{timeout:?} {read:?}");
        }
    }
}
