//! `ReleaseStock`: release the units that an order holds.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::inventory::v1::ReleaseStock;

use crate::domain::reservation::Command;

/// Reads the command.
pub fn read(message: &ReleaseStock) -> Result<Command, Unreadable> {
    Ok(Command::Release { order: uuid("order_id", &message.order_id)? })
}
