//! The caller of a request, and the error of an invalid token.

use std::time::Duration;

use flotilla_auth::{AuthError, Caller};
use tonic::{Code, Request, Status};

use crate::RpcError;

/// The caller of a request, as set by the server's layers.
///
/// # Errors
/// `UNAUTHENTICATED` if the request has no token (possible only for public methods).
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().copied().ok_or_else(|| RpcError::from(AuthError::Missing).into())
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
                    .retry_after(Duration::from_secs(1));
            }
        };
        RpcError::new(code, reason, error.to_string())
    }
}
