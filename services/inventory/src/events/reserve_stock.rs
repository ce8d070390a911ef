//! `ReserveStock`: hold the stock of all lines or of none.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::inventory::v1::ReserveStock;

use crate::domain::reservation::{Command, Lines};

/// Reads the command.
pub fn read(message: &ReserveStock) -> Result<Command, Unreadable> {
    let lines = message.lines.iter().map(|line| (line.product_id.as_str(), line.quantity));
    Ok(Command::Reserve {
        order: uuid("order_id", &message.order_id)?,
        lines: Lines::read(lines).map_err(|fault| fault.to_string())?,
    })
}
