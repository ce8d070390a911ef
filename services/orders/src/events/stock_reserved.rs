//! `StockReserved`: all lines are held.

use flotilla_proto::inventory::v1::StockReserved;

use super::{Reply, Unreadable, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub fn read(message: &StockReserved) -> Result<Option<Reply>, Unreadable> {
    reply(&message.order_id, Message::StockReserved)
}
