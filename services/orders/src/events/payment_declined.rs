//! `PaymentDeclined`: nothing was taken, and nothing will be.

use flotilla_messaging::Event;
use flotilla_proto::payments::v1::{PaymentDecline, PaymentDeclined};

use super::{Reader, Reply, decode, reply};
use crate::domain::saga::{Message, Reason};

/// Reads the message.
pub const READER: Reader<Option<Reply>> = Reader::of::<PaymentDeclined>(read);

fn read(event: &Event) -> Result<Option<Reply>, String> {
    let message: PaymentDeclined = decode(event)?;
    let reason = match message.decline() {
        PaymentDecline::InsufficientFunds => Reason::InsufficientFunds,
        _ => Reason::PaymentDeclined,
    };
    reply(&message.order_id, Message::PaymentDeclined(reason))
}
