//! Durations as people write them: `250ms`, `5s`, `2m`, `1h`, `1m30s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A duration written as text: whole numbers with the units `ms`, `s`, `m`, `h` and `d`, largest first (`1m30s`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(pub Duration);

/// The units from the largest to the smallest, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl HumanDuration {
    /// That many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// That many seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

/// The text isn't a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as 250ms, 5s, 2m or 1h30m")]
pub struct DurationSyntax;

impl FromStr for HumanDuration {
    type Err = DurationSyntax;

    fn from_str(text: &str) -> Result<Self, DurationSyntax> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(DurationSyntax);
        }
        let mut millis: u64 = 0;
        let mut larger = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| DurationSyntax)?;
            let after = &rest[digits..];
            let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let unit = &after[..letters];
            let place = UNITS.iter().position(|(name, _)| *name == unit).ok_or(DurationSyntax)?;
            if place < larger {
                return Err(DurationSyntax);
            }
            larger = place + 1;
            millis =
                number.checked_mul(UNITS[place].1).and_then(|part| millis.checked_add(part)).ok_or(DurationSyntax)?;
            rest = &after[letters..];
        }
        Ok(Self::from_millis(millis))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (name, size) in UNITS {
            if millis >= size {
                write!(f, "{}{name}", millis / size)?;
                millis %= size;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = HumanDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 250ms, 5s, 2m or 1h30m")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Duration> {
        text.parse::<HumanDuration>().ok().map(HumanDuration::get)
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parsed("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parsed("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parsed(" 2m "), Some(Duration::from_secs(120)));
        assert_eq!(parsed("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(parsed("1d1ms"), Some(Duration::from_millis(86_400_001)));
        assert_eq!(parsed("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["", "5", "s", "-1s", "1.5s", "5 s", "1s1m", "1s1s", "5x", "99999999999999999999s", "1h💥"] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_printed_duration_parses_to_the_same_duration() {
        for millis in [0, 1, 999, 1_000, 61_001, 86_400_000, 90_061_001] {
            let duration = HumanDuration::from_millis(millis);
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
