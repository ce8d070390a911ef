//! Payments' errors, and their conversion for clients.

use std::time::Duration;

use flotilla_rpc::{RpcError, name};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::domain::TopUpRefusal;

/// The failure of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such account, or none that the caller may see.
    #[error("account does not exist")]
    NotFound(Uuid),
    /// The account of a new user didn't open within the call's deadline.
    #[error("account is not open yet")]
    NotYet(Uuid),
    /// The top-up was refused.
    #[error("top-up refused: {1:?}")]
    TopUp(Uuid, TopUpRefusal),
    /// The group commit refused the request.
    #[error(transparent)]
    Queue(#[from] flotilla_postgres::Refused),
    /// An error that is already in the form for clients.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(account) => not_found(account),
            Error::NotYet(account) => not_found(account).retry_after(Duration::from_secs(1)),
            Error::TopUp(account, refusal) => top_up(account, refusal),
            Error::Queue(refused) => flotilla_service::queue_error(refused),
            Error::Rpc(error) => error,
            Error::Store(error) => flotilla_service::storage_error(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        RpcError::from(error).into()
    }
}

fn not_found(account: Uuid) -> RpcError {
    flotilla_rpc::not_found(&name::of("accounts", account))
}

fn top_up(account: Uuid, refusal: TopUpRefusal) -> RpcError {
    match refusal {
        TopUpRefusal::UnknownAccount => not_found(account),
        TopUpRefusal::Closed => {
            RpcError::new(Code::FailedPrecondition, "ACCOUNT_CLOSED", "the account is closed: its user was deleted")
        }
        TopUpRefusal::CurrencyMismatch => {
            RpcError::new(Code::InvalidArgument, "CURRENCY_MISMATCH", "the account has another currency")
                .field("amount.currency_code", "must be the account's currency")
        }
        TopUpRefusal::KeyReused => {
            RpcError::new(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", "the request id was used for another amount")
                .field("request_id", "was used for another amount")
        }
        TopUpRefusal::TooLarge => RpcError::new(
            Code::FailedPrecondition,
            "BALANCE_TOO_LARGE",
            "the balance would exceed the maximum of an account",
        ),
    }
}
