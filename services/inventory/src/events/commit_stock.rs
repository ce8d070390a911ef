//! `CommitStock`: ship the units that an order holds.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::inventory::v1::CommitStock;

use crate::domain::reservation::Command;

/// Reads the command.
pub fn read(message: &CommitStock) -> Result<Command, Unreadable> {
    Ok(Command::Commit { order: uuid("order_id", &message.order_id)? })
}
