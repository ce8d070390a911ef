//! `PaymentCharged`: the total was taken.

use flotilla_proto::payments::v1::PaymentCharged;

use super::{Reply, Unreadable, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub fn read(message: &PaymentCharged) -> Result<Option<Reply>, Unreadable> {
    reply(&message.order_id, Message::PaymentCharged)
}
