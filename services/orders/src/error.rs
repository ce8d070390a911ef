//! Why orders refuses a call, and the gRPC status for it.

use flotilla_postgres::TransactionError;
use flotilla_rpc::{RpcError, invalid, not_found};
use flotilla_service::{queue_error, storage_error};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::domain::{
    basket::{BasketError, BasketLine},
    idempotency::KeyReused,
    pricing::PricingError,
};
use crate::watches::TooManyWatches;

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request can't become an order.
    #[error(transparent)]
    Basket(#[from] BasketError),
    /// The basket can't be priced.
    #[error(transparent)]
    Pricing(#[from] PricingError),
    /// The key was used for another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// There is no such order, or it belongs to another customer.
    #[error("orders/{0} does not exist")]
    NotFound(Uuid),
    /// The order can no longer be cancelled.
    #[error("orders/{id} is {state} and can no longer be cancelled")]
    Ended {
        /// The order.
        id: Uuid,
        /// Its state.
        state: &'static str,
    },
    /// The lookup of a product in inventory failed.
    #[error("the lookup in inventory failed: {0}")]
    Catalogue(String),
    /// New orders are switched off.
    #[error("new orders are paused; retry later")]
    Paused,
    /// The customer places too many orders; contains the time until the next one is allowed.
    #[error("too many orders; retry after the given delay")]
    TooManyOrders(std::time::Duration),
    /// The user has too many streams of the order.
    #[error("too many watches of this order by this user; close one first")]
    TooManyWatches,
    /// The group commit refused the request.
    #[error(transparent)]
    Queue(#[from] flotilla_postgres::Refused),
    /// The request or its etag is invalid.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// An error of the database.
    #[error(transparent)]
    Store(#[from] flotilla_postgres::Error),
}

impl TransactionError for Error {
    fn database(&self) -> Option<&flotilla_postgres::Error> {
        if let Self::Store(error) = self { Some(error) } else { None }
    }
}

impl From<TooManyWatches> for Error {
    fn from(_: TooManyWatches) -> Self {
        Self::TooManyWatches
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Basket(error) => invalid(error.field, error.description),
            Error::Pricing(error) => pricing(error, message),
            Error::KeyReused(_) => {
                Self::new(Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED", message).field("request_id", KEY_REUSED)
            }
            Error::NotFound(id) => not_found(&format!("orders/{id}")),
            Error::Ended { state, .. } => {
                Self::new(Code::FailedPrecondition, "ORDER_ENDED", message).metadata("state", state)
            }
            Error::Catalogue(cause) => {
                tracing::warn!(cause, "products could not be looked up in inventory");
                Self::new(Code::Unavailable, "CATALOGUE_UNAVAILABLE", "the catalogue is unavailable; retry in a second")
                    .retry_after(std::time::Duration::from_secs(1))
            }
            Error::Paused => Self::new(Code::Unavailable, "ORDERS_PAUSED", message).retry_after(PAUSE),
            Error::TooManyOrders(wait) => Self::new(Code::ResourceExhausted, "RATE_LIMITED", message)
                .quota("user", "orders a second")
                .retry_after(wait),
            Error::TooManyWatches => Self::new(Code::ResourceExhausted, "TOO_MANY_WATCHES", message)
                .quota("user", "watches of one order")
                .retry_after(WATCH_PAUSE),
            Error::Queue(refused) => queue_error(refused),
            Error::Rpc(error) => error,
            Error::Store(error) => storage_error(error),
        }
    }
}

/// Retry delay while new orders are switched off. Longer than intermediate clients wait before a retry, so that the
/// caller decides.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(30);

/// The retry delay for a refused watch.
const WATCH_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

const KEY_REUSED: &str = "was used for a request with another body";

fn pricing(error: PricingError, message: String) -> RpcError {
    let argument =
        |reason| RpcError::new(Code::InvalidArgument, reason, message.clone()).field("lines", message.clone());
    match error {
        PricingError::UnknownProducts(lines) => unknown(&lines),
        PricingError::MixedCurrencies(..) => argument("MIXED_CURRENCIES"),
        PricingError::TotalTooLarge => argument("TOTAL_TOO_LARGE"),
        PricingError::TotalChanged(total) => RpcError::new(Code::Aborted, "TOTAL_CHANGED", message)
            .metadata("total", total.to_string())
            .metadata("total_minor", total.minor.to_string())
            .metadata("currency_code", total.currency.code()),
    }
}

fn unknown(lines: &[BasketLine]) -> RpcError {
    let names: Vec<String> = lines.iter().map(|line| format!("products/{}", line.product_id)).collect();
    let message = format!("not in the catalogue: {}", names.join(", "));
    lines.iter().zip(names).fold(
        RpcError::new(Code::InvalidArgument, "UNKNOWN_PRODUCT", message),
        |error, (line, name)| {
            error.field(format!("lines[{}].product", line.position), format!("{name} is not in the catalogue"))
        },
    )
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        RpcError::from(error).into()
    }
}
