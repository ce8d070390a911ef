//! `StockReleased`: nothing is held any more.

use flotilla_proto::inventory::v1::StockReleased;

use super::{Reply, Unreadable, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub fn read(message: &StockReleased) -> Result<Option<Reply>, Unreadable> {
    reply(&message.order_id, Message::StockReleased)
}
