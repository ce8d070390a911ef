//! What inventory hears and says on the broker: one file for each command consumed, one for each group of events said.
//!
//! Consumes `flotilla.orders.inventory` and, for live prices, its own `flotilla.inventory.products`; says `flotilla.inventory.replies` and `flotilla.inventory.products`.

mod commit_stock;
mod handler;
mod prices;
pub mod products;
mod release_stock;
pub mod replies;
mod reserve_stock;
mod trace;

pub use handler::Commands;
pub use prices::{Prices, changes_of_products};

use flotilla_messaging::{ConsumerSpec, Event, StreamSpec};
use flotilla_proto::inventory::v1::{CommitStock, ReleaseStock, ReserveStock};
use uuid::Uuid;

use crate::domain::reservation::Command;

/// Subject of the answers to commands.
pub const REPLIES: &str = "flotilla.inventory.replies";
/// Subject of the catalogue's changes.
pub const PRODUCTS: &str = "flotilla.inventory.products";

/// The stream that inventory's relay writes.
pub const STREAM: StreamSpec = StreamSpec { name: "INVENTORY", subjects: &[REPLIES, PRODUCTS] };

/// The commands of orders, up to `max_events` of them in one transaction.
#[must_use]
pub fn commands_of_orders(max_events: usize) -> ConsumerSpec {
    ConsumerSpec { name: "inventory-orders", stream: "ORDERS", subjects: &["flotilla.orders.inventory"], max_events }
}

/// How a command is read; the text says why it can't be.
type Read = fn(&Event) -> Result<Command, String>;

/// A command that inventory knows.
struct Known {
    is: fn(&Event) -> bool,
    name: fn() -> String,
    read: Read,
}

const fn known<M: prost::Name>(read: Read) -> Known {
    Known { is: Event::is::<M>, name: full_name::<M>, read }
}

/// Every command that inventory knows.
const KNOWN: &[Known] = &[
    known::<ReserveStock>(reserve_stock::read),
    known::<ReleaseStock>(release_stock::read),
    known::<CommitStock>(commit_stock::read),
];

fn full_name<M: prost::Name>() -> String {
    M::full_name()
}

/// Reads a command.
fn read(event: &Event) -> Result<Command, String> {
    match KNOWN.iter().find(|known| (known.is)(event)) {
        Some(known) => (known.read)(event),
        None => Err(format!("{} is not a command of inventory", event.kind)),
    }
}

/// The full names of all commands.
fn kinds() -> impl Iterator<Item = String> {
    KNOWN.iter().map(|known| (known.name)())
}

/// Decodes a message.
fn decode<M: prost::Message + Default>(event: &Event) -> Result<M, String> {
    event.decode().map_err(|error| error.to_string())
}

/// Reads an order's id.
fn order(id: &str) -> Result<Uuid, String> {
    Uuid::try_parse(id).map_err(|_| "order_id is not a UUID".to_owned())
}
