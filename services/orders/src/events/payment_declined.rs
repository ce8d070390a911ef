//! `PaymentDeclined`: nothing was taken, and nothing will be.

use flotilla_proto::payments::v1::{PaymentDecline, PaymentDeclined};

use super::{Reply, Unreadable, reply};
use crate::domain::saga::{Message, Reason};

/// Reads the message.
pub fn read(message: &PaymentDeclined) -> Result<Option<Reply>, Unreadable> {
    let reason = match message.decline() {
        PaymentDecline::InsufficientFunds => Reason::InsufficientFunds,
        _ => Reason::PaymentDeclined,
    };
    reply(&message.order_id, Message::PaymentDeclined(reason))
}
