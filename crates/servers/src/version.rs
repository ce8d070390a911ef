//! Versions as the servers print them, and the minimum versions that Flotilla needs.

use std::fmt;

/// The first two numbers of a version, which are all that Flotilla compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

pub(crate) const POSTGRES_MIN: Version = Version { major: 15, minor: 0 };
pub(crate) const NATS_MIN: Version = Version { major: 2, minor: 15 };
pub(crate) const REDIS_MIN: Version = Version { major: 7, minor: 0 };

impl Version {
    /// Finds the first number in the output of `--version`: `postgres (PostgreSQL) 18.6`, `nats-server: v2.15.1`,
    /// `Valkey server v=9.1.2 sha=...`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let (major, rest) = number(&text[start..])?;
        let minor = rest.strip_prefix('.').and_then(number).map_or(0, |(minor, _)| minor);
        Some(Self { major, minor })
    }
}

fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    digits.parse().ok().map(|number| (number, rest))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_version_output_is_parsed() {
        let of = |text| Version::find(text).map(|version| (version.major, version.minor));
        assert_eq!(of("postgres (PostgreSQL) 18.6"), Some((18, 6)));
        assert_eq!(of("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"), Some((15, 14)));
        assert_eq!(of("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(of("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(of("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1"), Some((7, 0)));
        assert_eq!(of("no number"), None);
    }

    #[test]
    fn an_old_version_is_below_the_minimum() {
        assert!(Version::find("nats-server: v2.9.10").unwrap() < NATS_MIN);
        assert!(Version::find("nats-server: v2.15.0").unwrap() >= NATS_MIN);
        assert!(Version::find("nats-server: v3.0.0").unwrap() >= NATS_MIN);
    }
}
