//! Maps a service's internal errors to the errors that clients get. Causes are logged, never sent.

use std::fmt::Display;
use std::time::Duration;

use flotilla_postgres::{ErrorKind, Refused};
use flotilla_rpc::{CallContext, RpcError};
use tonic::Code;

/// The retry delay if the database is unavailable.
const DATABASE_RETRY: Duration = Duration::from_secs(1);
/// The retry delay if the queue is full.
const QUEUE_RETRY: Duration = Duration::from_millis(500);

/// Maps a database error to an error of the call. Errors that the caller can't fix are logged under the request id and
/// returned as `INTERNAL`; no SQL leaks.
#[allow(clippy::needless_pass_by_value, reason = "fits map_err")]
pub fn storage_error(error: flotilla_postgres::Error) -> RpcError {
    match error.kind() {
        ErrorKind::Unavailable => {
            tracing::warn!(%error, "database unavailable");
            RpcError::new(Code::Unavailable, "DATABASE_UNAVAILABLE", "the database is unavailable")
                .retry_after(DATABASE_RETRY)
        }
        ErrorKind::Timeout => {
            tracing::warn!(%error, "database did not answer in time");
            RpcError::new(Code::DeadlineExceeded, "DATABASE_TIMEOUT", "the database did not answer in time")
        }
        ErrorKind::Conflict => {
            RpcError::new(Code::Aborted, "CONFLICT", "a concurrent call changed the same data; retry")
        }
        ErrorKind::Data | ErrorKind::Other => internal_error(&error),
    }
}

/// `INTERNAL` for an unexpected error: logged under the request id, which is all that the caller gets.
pub fn internal_error(error: &dyn Display) -> RpcError {
    let context = CallContext::current();
    let id = context.request_id.as_ref().map_or("none", |id| id.as_str());
    tracing::error!(%error, incident = id, "call failed");
    RpcError::internal().metadata("incident", id)
}

/// Maps the refusal of a group commit.
pub fn queue_error(refused: Refused) -> RpcError {
    match refused {
        Refused::Full => {
            RpcError::new(Code::ResourceExhausted, "OVERLOADED", "the service is busy").retry_after(QUEUE_RETRY)
        }
        Refused::Closed => {
            RpcError::new(Code::Unavailable, "SHUTTING_DOWN", "the service is shutting down").retry_after(QUEUE_RETRY)
        }
        // Whether it was applied is unknown: the caller's request id makes a retry safe.
        Refused::Failed => {
            RpcError::new(Code::Unavailable, "OUTCOME_UNKNOWN", "the batch was interrupted; retry the call")
                .retry_after(QUEUE_RETRY)
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_postgres::Error;
    use flotilla_rpc::Details;
    use tonic::Status;

    use super::*;

    #[test]
    fn each_kind_of_database_error_has_its_code() {
        for (kind, code, reason) in [
            (ErrorKind::Unavailable, Code::Unavailable, "DATABASE_UNAVAILABLE"),
            (ErrorKind::Timeout, Code::DeadlineExceeded, "DATABASE_TIMEOUT"),
            (ErrorKind::Conflict, Code::Aborted, "CONFLICT"),
            (ErrorKind::Data, Code::Internal, "INTERNAL"),
            (ErrorKind::Other, Code::Internal, "INTERNAL"),
        ] {
            let error = storage_error(Error::new(kind, "select secret"));
            assert_eq!((error.code(), error.reason()), (code, reason));
            let status = Status::from(error);
            assert!(!status.message().contains("select"), "{status}");
            assert_eq!(Details::of(&status).retry_after.is_some(), kind == ErrorKind::Unavailable);
        }
    }
}
