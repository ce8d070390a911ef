//! `ReleaseStock`: give back what an order holds.

use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::ReleaseStock;

use crate::domain::reservation::Command;

/// Reads the command.
pub fn read(event: &Event) -> Result<Command, String> {
    let message: ReleaseStock = super::decode(event)?;
    Ok(Command::Release { order: super::order(&message.order_id)? })
}
