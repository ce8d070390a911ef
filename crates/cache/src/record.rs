//! An entry as it is stored in Redis: kind, version, time of loading, time of being stale, payload.
//!
//! The numbers have a fixed width in decimal digits, so that scripts compare versions as strings: a number in Lua
//! would lose the last digits of a large version. The times are durations and never moments: processes and servers
//! needn't agree on the time.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

const VERSION: usize = 20;
const MILLIS: usize = 10;
const HEADER: usize = 1 + VERSION + 2 * MILLIS;
const MAX_MILLIS: u64 = 9_999_999_999;

/// What an entry says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has a value.
    Value,
    /// It is known to have none.
    Nothing,
    /// It was invalidated; versions below this one are old.
    Tombstone,
}

impl Kind {
    /// As a letter.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Value => "V",
            Self::Nothing => "N",
            Self::Tombstone => "T",
        }
    }
}

/// An entry in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub kind: Kind,
    /// Version of the value; 0 if unknown.
    pub version: u64,
    /// How long loading it took.
    pub load_time: Duration,
    /// For how long before its expiry it is stale.
    pub stale: Duration,
    /// The encoded value.
    pub payload: Bytes,
}

impl Record {
    /// Parses an entry; `None` if it has another format.
    pub fn parse(entry: &Bytes) -> Option<Self> {
        let header = std::str::from_utf8(entry.get(..HEADER)?).ok()?;
        let kind = match &header[..1] {
            "V" => Kind::Value,
            "N" => Kind::Nothing,
            "T" => Kind::Tombstone,
            _ => return None,
        };
        let millis = |at: usize| header[at..at + MILLIS].parse().ok().map(Duration::from_millis);
        Some(Self {
            kind,
            version: header[1..=VERSION].parse().ok()?,
            load_time: millis(1 + VERSION)?,
            stale: millis(1 + VERSION + MILLIS)?,
            payload: entry.slice(HEADER..),
        })
    }
}

/// A version as scripts compare it.
pub fn version(version: u64) -> Bytes {
    format!("{version:020}").into()
}

/// An entry without its kind and version.
pub fn rest(load_time: Duration, stale: Duration, payload: &[u8]) -> Bytes {
    let mut rest = BytesMut::with_capacity(2 * MILLIS + payload.len());
    rest.put_slice(format!("{:010}{:010}", millis(load_time), millis(stale)).as_bytes());
    rest.put_slice(payload);
    rest.freeze()
}

/// A time to live as scripts take it: in milliseconds, at least one.
pub fn ttl(duration: Duration) -> Bytes {
    millis(duration).max(1).to_string().into()
}

/// Whole milliseconds, as far as they fit into the format.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(MAX_MILLIS).min(MAX_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_parsed_as_it_was_written() {
        for kind in [Kind::Value, Kind::Nothing, Kind::Tombstone] {
            let record = Record {
                kind,
                version: u64::MAX,
                load_time: Duration::from_millis(12),
                stale: Duration::from_secs(60),
                payload: Bytes::from_static(b"\x00\xff payload"),
            };
            let mut entry = kind.letter().as_bytes().to_vec();
            entry.extend_from_slice(&version(record.version));
            entry.extend_from_slice(&rest(record.load_time, record.stale, &record.payload));
            assert_eq!(Record::parse(&entry.clone().into()), Some(record));
            assert_eq!(Record::parse(&entry[..HEADER - 1].to_vec().into()), None, "too short");
        }
        assert_eq!(Record::parse(&Bytes::from(vec![b'X'; HEADER])), None, "no known kind");
        assert_eq!(Record::parse(&Bytes::from(vec![0xff; HEADER])), None, "no text");
    }

    #[test]
    fn versions_compare_as_strings_like_numbers() {
        let mut versions = [0, 9, 10, 99, u64::MAX / 2, u64::MAX].map(version).to_vec();
        let sorted = versions.clone();
        versions.reverse();
        versions.sort();
        assert_eq!(versions, sorted);
    }
}
