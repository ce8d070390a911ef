//! Authentication: tokens are signed by identity and verified in every service with the keys that identity publishes,
//! until their session ends.
//!
//! [`TokenSigner`] issues a token, [`Authenticator`] verifies it and returns the [`Caller`]. Keys come from a
//! [`KeySource`], ended sessions from a [`RevocationSource`]; both are passed in. Verified tokens are remembered by
//! their hash until they expire or their session ends. Nothing here depends on a transport.

mod authenticator;
mod keyring;
mod keys;
mod revocation;
mod settings;
mod signer;
mod verified;

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use authenticator::Authenticator;
pub use keys::{KeySource, KeysUnavailable, StaticKeys, VerifyingKey};
pub use revocation::{RevocationSource, Revocations, RevocationsUnavailable, Revoked};
pub use settings::{AuthSettings, MAX_CLOCK_SKEW};
pub use signer::{TokenError, TokenSigner};

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A customer, who buys and sees only their own data.
    Customer,
    /// An operator, who runs the shop.
    Operator,
}

impl Role {
    /// The role as written in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(role: &str) -> Result<Self, UnknownRole> {
        match role {
            "customer" => Ok(Self::Customer),
            "operator" => Ok(Self::Operator),
            _ => Err(UnknownRole),
        }
    }
}

/// An unknown role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown role")]
pub struct UnknownRole;

/// The caller, as its token identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: Uuid,
    /// The session that the token belongs to.
    pub session: Uuid,
    /// Their role.
    pub role: Role,
    /// When the token expires.
    pub expires: SystemTime,
}

impl Caller {
    /// Whether the caller is an operator.
    pub fn is_operator(&self) -> bool {
        self.role == Role::Operator
    }
}

/// The token in `authorization: Bearer ...`. `None` if the header is repeated: which one counts must not depend on the
/// reader.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, further) = (values.next()?, values.next());
    let (scheme, token) = value.to_str().ok().filter(|_| further.is_none())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is none.
    #[error("a bearer token is required")]
    Missing,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// Its session was ended.
    #[error("the session has ended")]
    Revoked,
    /// It wasn't issued by the fleet, was modified, or lacks a claim.
    #[error("the token is not valid")]
    Invalid,
    /// Its key can't be fetched at the moment.
    #[error("the token cannot be checked at the moment")]
    KeysUnavailable,
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("BEARER abc", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(header))]);
            assert_eq!(bearer(&headers), token, "{header:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn of_two_authorization_headers_neither_counts() {
        let mut headers = HeaderMap::new();
        for value in ["Bearer abc", "Bearer abc"] {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        assert_eq!(bearer(&headers), None);
    }
}
