//! Entity tags: the version of a row, as clients hold it.

use tonic::Code;

use crate::RpcError;

/// The tag of a version, in quotes as HTTP wants it: `"7"`.
pub fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// Checks the tag that a client holds. An empty tag and `*` ask for no check; quotes may be left out.
///
/// # Errors
/// `ABORTED` with reason `ETAG_MISMATCH` if the row has moved on.
pub fn check(expected: &str, version: i64) -> Result<(), RpcError> {
    let bare = expected.trim().trim_matches('"');
    if bare.is_empty() || bare == "*" || bare.parse() == Ok(version) {
        return Ok(());
    }
    Err(RpcError::new(Code::Aborted, "ETAG_MISMATCH", "the resource has changed since it was read")
        .metadata("etag", of(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_matches_its_version_with_or_without_quotes() {
        assert_eq!(of(7), "\"7\"");
        assert!(check(&of(7), 7).is_ok());
        assert!(check("7", 7).is_ok());
        assert!(check("", 7).is_ok());
        assert!(check("*", 7).is_ok());
    }

    #[test]
    fn another_version_or_rubbish_is_aborted() {
        for tag in ["\"6\"", "seven", "\"7\"x"] {
            let error = check(tag, 7).unwrap_err();
            assert_eq!((error.code(), error.reason()), (Code::Aborted, "ETAG_MISMATCH"));
        }
    }
}
