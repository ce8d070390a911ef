//! Who calls: tokens are signed by identity, checked everywhere, with keys that identity publishes.

mod authenticator;
mod keys;
mod remote;
mod signer;

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tonic::{Code, Request, Status};
use uuid::Uuid;

pub use authenticator::Authenticator;
pub use keys::{KeySource, KeysUnavailable, StaticKeys, VerifyingKey};
pub use remote::RemoteKeys;
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

/// Why a token doesn't let its bearer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is none.
    #[error("a bearer token is needed")]
    Missing,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
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
            AuthError::Invalid => (Code::Unauthenticated, "TOKEN_INVALID"),
            AuthError::KeysUnavailable => {
                return RpcError::new(Code::Unavailable, "KEYS_UNAVAILABLE", error.to_string())
                    .retry_after(std::time::Duration::from_secs(1));
            }
        };
        RpcError::new(code, reason, error.to_string())
    }
}
