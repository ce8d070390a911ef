//! Why inventory refuses a call, and the gRPC status for it. Each error knows whether a retry may succeed.

use std::time::Duration;

use flotilla_postgres::TransactionError;
use flotilla_rpc::RpcError;
use flotilla_service::storage_error;
use tonic::{Code, Status};

use crate::domain::product::ProductId;
use crate::domain::stock::AdjustFault;

/// Retry delay while the prices are still being loaded; retry in a second.
const LOADING_RETRY: Duration = Duration::from_secs(1);

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such product in the catalogue.
    #[error("products/{0} does not exist")]
    NotFound(ProductId),
    /// The id is taken, perhaps by a product that was deleted.
    #[error("products/{0} already exists")]
    Exists(ProductId),
    /// The request id was used for another adjustment.
    #[error("the request id was used for another adjustment of products/{0}")]
    KeyReused(ProductId),
    /// There is no such import.
    #[error("imports/{0} does not exist")]
    NoImport(String),
    /// Another stream is running the import.
    #[error("imports/{0} is running")]
    ImportRunning(String),
    /// Another stream has taken over the import.
    #[error("imports/{0} was taken over by another stream")]
    ImportTaken(String),
    /// The process has just started and hasn't loaded the prices yet.
    #[error("the prices are still being loaded; retry in a second")]
    PricesLoading,
    /// The adjustment of the stock is refused.
    #[error(transparent)]
    Adjust(#[from] AdjustFault),
    /// The request or its etag is invalid.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// An error of the database.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
}

impl From<flotilla_messaging::Error> for Error {
    fn from(error: flotilla_messaging::Error) -> Self {
        Self::Store(error.into_postgres())
    }
}

impl TransactionError for Error {
    fn database(&self) -> Option<&flotilla_postgres::Error> {
        if let Self::Store(error) = self { Some(error) } else { None }
    }
}

impl Error {
    /// Converts the error for clients.
    #[must_use]
    pub fn into_rpc(self) -> RpcError {
        let message = self.to_string();
        match self {
            Self::NotFound(id) => flotilla_rpc::not_found(&format!("products/{id}")),
            Self::Exists(id) => RpcError::new(Code::AlreadyExists, "ALREADY_EXISTS", message)
                .metadata("resource", format!("products/{id}")),
            Self::KeyReused(_) => RpcError::new(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", message),
            Self::NoImport(id) => flotilla_rpc::not_found(&format!("imports/{id}")),
            Self::ImportRunning(id) => {
                RpcError::new(Code::Aborted, "IMPORT_RUNNING", message).metadata("resource", format!("imports/{id}"))
            }
            Self::ImportTaken(id) => {
                RpcError::new(Code::Aborted, "IMPORT_TAKEN_OVER", message).metadata("resource", format!("imports/{id}"))
            }
            Self::PricesLoading => {
                RpcError::new(Code::Unavailable, "PRICES_LOADING", message).retry_after(LOADING_RETRY)
            }
            Self::Adjust(AdjustFault::Insufficient { available }) => {
                RpcError::new(Code::FailedPrecondition, "INSUFFICIENT_STOCK", message)
                    .metadata("available", available.to_string())
            }
            Self::Adjust(AdjustFault::TooMuch) => flotilla_rpc::invalid("delta", message),
            Self::Rpc(error) => error,
            Self::Store(error) => storage_error(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.into_rpc().into()
    }
}
