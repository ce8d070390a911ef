//! Why notification refuses a call, and the gRPC status for it.

use std::time::Duration;

use flotilla_rpc::RpcError;
use flotilla_service::storage_error;
use tonic::{Code, Status};

use crate::feed::TooManyListeners;

/// Retry delay for a client whose feed ended.
const COME_BACK: Duration = Duration::from_millis(500);

/// Why a call is refused, or a feed ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is invalid.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// An error of the database.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
    /// The customer has too many open feeds.
    #[error("too many feeds are open for this user")]
    TooManyListeners,
    /// The token expired while the feed was open.
    #[error("the token has expired; resume with a new one")]
    TokenExpired,
    /// The call's deadline passed while the feed was open.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// The client's side of a feed was interrupted, or sent something that isn't a request.
    #[error("the client's stream was interrupted")]
    Stream(Status),
    /// The preferences kept being changed by concurrent calls.
    #[error("the preferences are being changed by others; try again")]
    Contended,
}

impl From<TooManyListeners> for Error {
    fn from(_: TooManyListeners) -> Self {
        Self::TooManyListeners
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let error = match error {
            Error::Rpc(error) => error,
            Error::Store(error) => storage_error(error),
            Error::TooManyListeners => {
                RpcError::new(Code::ResourceExhausted, "TOO_MANY_FEEDS", message).retry_after(COME_BACK)
            }
            Error::TokenExpired => RpcError::new(Code::Unauthenticated, "TOKEN_EXPIRED", message),
            Error::DeadlineExceeded => RpcError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message),
            Error::Stream(status) => return status,
            Error::Contended => RpcError::new(Code::Aborted, "CONFLICT", message).retry_after(COME_BACK),
        };
        error.into()
    }
}
