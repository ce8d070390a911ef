//! Who calls: tokens are signed by identity, checked everywhere, with keys that identity publishes, until their session
//! ends.

mod authenticator;
mod keyring;
mod keys;
mod remote;
mod revocation;
mod signer;
mod verified;

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};
use tonic::{Code, Request, Status};
use uuid::Uuid;

pub use authenticator::Authenticator;
pub use keys::{KeySource, KeysUnavailable, StaticKeys, VerifyingKey};
pub use remote::RemoteKeys;
pub use revocation::{RevocationSource, Revocations, RevocationsUnavailable, Revoked};
pub use signer::{TokenError, TokenSigner};

use crate::RpcError;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys; sees what is their own.
    Customer,
    /// Runs the shop.
    Operator,
}

impl Role {
    /// The role as it stands in a token.
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

/// A role that isn't one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown role")]
pub struct UnknownRole;

/// Who calls, as their token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: Uuid,
    /// The session that the token belongs to.
    pub session: Uuid,
    /// Their role.
    pub role: Role,
    /// When the token ends.
    pub expires: SystemTime,
}

impl Caller {
    /// Whether the caller is an operator.
    pub fn is_operator(&self) -> bool {
        self.role == Role::Operator
    }
}

/// The caller of a request, put there by the server's stack.
///
/// # Errors
/// `UNAUTHENTICATED` if the request came without a token (possible only for public methods).
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().copied().ok_or_else(|| RpcError::from(AuthError::Missing).into())
}

/// The token in `authorization: Bearer ...`. None where the header stands twice: which of the two counts must not depend
/// on who reads it.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, further) = (values.next()?, values.next());
    let (scheme, token) = value.to_str().ok().filter(|_| further.is_none())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a token doesn't let its bearer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is none.
    #[error("a bearer token is needed")]
    Missing,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// Its session was ended.
    #[error("the session has ended")]
    Revoked,
    /// It isn't ours, was changed, or lacks a claim.
    #[error("the token is not valid")]
    Invalid,
    /// Its key can't be fetched now.
    #[error("the token cannot be checked at the moment")]
    KeysUnavailable,
}

impl From<AuthError> for RpcError {
    fn from(error: AuthError) -> Self {
        let (code, reason) = match error {
            AuthError::Missing => (Code::Unauthenticated, "TOKEN_MISSING"),
            AuthError::Expired => (Code::Unauthenticated, "TOKEN_EXPIRED"),
            AuthError::Revoked => (Code::Unauthenticated, "SESSION_REVOKED"),
            AuthError::Invalid => (Code::Unauthenticated, "TOKEN_INVALID"),
            AuthError::KeysUnavailable => {
                return RpcError::new(Code::Unavailable, "KEYS_UNAVAILABLE", error.to_string())
                    .retry_after(std::time::Duration::from_secs(1));
            }
        };
        RpcError::new(code, reason, error.to_string())
    }
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
