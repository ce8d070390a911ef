//! `StockReserved`: all lines are held.

use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::StockReserved;

use super::{Reader, Reply, decode, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub const READER: Reader<Option<Reply>> = Reader::of::<StockReserved>(read);

fn read(event: &Event) -> Result<Option<Reply>, String> {
    let message: StockReserved = decode(event)?;
    reply(&message.order_id, Message::StockReserved)
}
