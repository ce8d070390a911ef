//! Entity tags identify the state of a row that a client has read.
//!
//! A tag is the row's version and a digest that changes with its content, such as of the time of the last change. The
//! version alone isn't enough: after a restore to an earlier point, different content may get a version that a client
//! has seen.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use tonic::Code;

use flotilla_rpc::RpcError;

/// The tag for a version and a mark, in quotes as HTTP requires: `"7-1f3a9c02"`.
pub fn of(version: i64, mark: impl Display) -> String {
    let digest = Sha256::digest(mark.to_string());
    format!("\"{version}-{:02x}{:02x}{:02x}{:02x}\"", digest[0], digest[1], digest[2], digest[3])
}

/// A time as a mark of a row's content.
pub fn time(at: impl Into<Option<SystemTime>>) -> u128 {
    at.into().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_micros())
}

/// Checks a tag from a client. No tag and `*` disable the check; quotes are optional around a tag, and within them
/// nothing is special. A bare version is a tag of an earlier release, and only the version is compared.
///
/// # Errors
/// `ABORTED` with reason `ETAG_MISMATCH` if the row has changed.
pub fn check(expected: &str, version: i64, mark: impl Display) -> Result<(), RpcError> {
    let expected = expected.trim();
    if expected.is_empty() || expected == "*" {
        return Ok(());
    }
    let (bare, present) = (expected.trim_matches('"'), of(version, mark));
    if bare == present.trim_matches('"') || bare.parse() == Ok(version) {
        return Ok(());
    }
    Err(RpcError::new(Code::Aborted, "ETAG_MISMATCH", "the resource has changed since it was read")
        .metadata("etag", present))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_its_version_with_or_without_quotes() {
        let tag = of(7, "blue");
        assert!(tag.starts_with("\"7-") && tag.len() == 12, "{tag}");
        for fine in [tag.as_str(), tag.trim_matches('"'), "7", "\"7\"", "", "*"] {
            assert!(check(fine, 7, "blue").is_ok(), "{fine}");
        }
    }

    #[test]
    fn another_version_another_content_or_an_invalid_tag_is_aborted() {
        for tag in
            [of(6, "blue").as_str(), of(7, "red").as_str(), "\"6\"", "seven", "\"7\"x", "7-", "\"\"", "\"*\"", "\""]
        {
            let error = check(tag, 7, "blue").unwrap_err();
            assert_eq!((error.code(), error.reason()), (Code::Aborted, "ETAG_MISMATCH"), "{tag}");
        }
    }

    #[test]
    fn times_are_distinguished_to_the_microsecond() {
        let at = UNIX_EPOCH + std::time::Duration::from_micros(1_790_000_000_000_001);
        assert_eq!((time(at), time(None::<SystemTime>)), (1_790_000_000_000_001, 0));
    }
}
