//! `StockReleased`: nothing is held any more.

use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::StockReleased;

use super::{Reader, Reply, decode, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub const READER: Reader<Option<Reply>> = Reader::of::<StockReleased>(read);

fn read(event: &Event) -> Result<Option<Reply>, String> {
    let message: StockReleased = decode(event)?;
    reply(&message.order_id, Message::StockReleased)
}
