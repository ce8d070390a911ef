//! `PaymentRefunded`: no money is taken any more.

use flotilla_messaging::Event;
use flotilla_proto::payments::v1::PaymentRefunded;

use super::{Reader, Reply, decode, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub const READER: Reader<Option<Reply>> = Reader::of::<PaymentRefunded>(read);

fn read(event: &Event) -> Result<Option<Reply>, String> {
    let message: PaymentRefunded = decode(event)?;
    reply(&message.order_id, Message::PaymentRefunded)
}
