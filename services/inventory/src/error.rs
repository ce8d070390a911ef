//! Why inventory refuses a call, and how that reads in gRPC. Whether a repeat may help is said by each error.

use flotilla_rpc::RpcError;
use flotilla_service::storage_error;
use tonic::{Code, Status};

use crate::domain::product::ProductId;
use crate::domain::stock::AdjustFault;

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such product in the catalogue.
    #[error("products/{0} does not exist")]
    NotFound(ProductId),
    /// The id is taken, perhaps by a product that was deleted.
    #[error("products/{0} exists already")]
    Exists(ProductId),
    /// The request id was used for another adjustment.
    #[error("the request id was used for another adjustment of products/{0}")]
    KeyReused(ProductId),
    /// The stock can't be adjusted so.
    #[error(transparent)]
    Adjust(#[from] AdjustFault),
    /// The request itself is at fault, or its etag.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The database.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] flotilla_messaging::Error),
}

impl Error {
    /// The error as clients see it.
    #[must_use]
    pub fn into_rpc(self) -> RpcError {
        let message = self.to_string();
        match self {
            Self::NotFound(id) => flotilla_rpc::not_found(&format!("products/{id}")),
            Self::Exists(id) => RpcError::new(Code::AlreadyExists, "ALREADY_EXISTS", message)
                .metadata("resource", format!("products/{id}")),
            Self::KeyReused(_) => RpcError::new(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", message),
            Self::Adjust(AdjustFault::Insufficient { available }) => {
                RpcError::new(Code::FailedPrecondition, "INSUFFICIENT_STOCK", message)
                    .metadata("available", available.to_string())
            }
            Self::Adjust(AdjustFault::TooMuch) => flotilla_rpc::invalid("delta", message),
            Self::Rpc(error) => error,
            Self::Store(error) => storage_error(error),
            Self::Outbox(error) => storage_error(error.into_postgres()),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.into_rpc().into()
    }
}
