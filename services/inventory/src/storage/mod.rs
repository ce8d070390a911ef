//! Inventory's SQL. Each statement is a file in `queries/`; rows are locked in the order of their keys.

pub(crate) mod catalogue;
mod expiry;
mod imports;
pub mod price_bucket;
mod reservations;
mod stock;

pub use catalogue::Catalogue;
pub use expiry::{Backoff, sweep, take_due};
pub use imports::{Imports, Run};
pub use reservations::{open_book, write_changes};
pub use stock::{Adjustment, StockStore};

use std::time::Duration;

use flotilla_rpc::Deadline;

/// Maximum time to retry a transaction of a call without a deadline.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a call's transaction may be retried.
fn patience() -> Duration {
    Deadline::at_most(PATIENCE)
}
