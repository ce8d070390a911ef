//! `ReserveStock`: hold the stock of all lines or of none.

use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::ReserveStock;

use crate::domain::reservation::{Command, Lines};

/// Reads the command.
pub fn read(event: &Event) -> Result<Command, String> {
    let message: ReserveStock = super::decode(event)?;
    let lines = message.lines.iter().map(|line| (line.product_id.as_str(), line.quantity));
    Ok(Command::Reserve {
        order: super::order(&message.order_id)?,
        lines: Lines::read(lines).map_err(|fault| fault.to_string())?,
    })
}
