//! `CommitStock`: ship what an order holds.

use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::CommitStock;

use crate::domain::reservation::Command;

/// Reads the command.
pub fn read(event: &Event) -> Result<Command, String> {
    let message: CommitStock = super::decode(event)?;
    Ok(Command::Commit { order: super::order(&message.order_id)? })
}
