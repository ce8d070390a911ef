//! `PaymentCharged`: the total was taken.

use flotilla_messaging::Event;
use flotilla_proto::payments::v1::PaymentCharged;

use super::{Reader, Reply, decode, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub const READER: Reader<Option<Reply>> = Reader::of::<PaymentCharged>(read);

fn read(event: &Event) -> Result<Option<Reply>, String> {
    let message: PaymentCharged = decode(event)?;
    reply(&message.order_id, Message::PaymentCharged)
}
