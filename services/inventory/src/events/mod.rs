//! The messages that inventory consumes and publishes: one file for each command, one for each group of events. A new
//! message needs a new file and a line in a registry.

mod cached_products;
mod commit_stock;
mod handler;
mod prices;
pub mod products;
mod release_stock;
pub mod replies;
mod reserve_stock;
mod trace;

pub use cached_products::CachedProducts;
pub use handler::Commands;
pub use prices::Prices;

use flotilla_messaging::Registry;
use flotilla_proto::events::consumers;

use crate::domain::reservation::Command;

/// Maximum number of events whose products are invalidated at a time.
pub const MAX_INVALIDATIONS: usize = 256;

/// The commands of orders.
#[must_use]
pub fn commands() -> Registry<Command> {
    Registry::of(&consumers::INVENTORY_ORDERS).on(reserve_stock::read).on(release_stock::read).on(commit_stock::read)
}
