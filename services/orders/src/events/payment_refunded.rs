//! `PaymentRefunded`: no money is taken any more.

use flotilla_proto::payments::v1::PaymentRefunded;

use super::{Reply, Unreadable, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub fn read(message: &PaymentRefunded) -> Result<Option<Reply>, Unreadable> {
    reply(&message.order_id, Message::PaymentRefunded)
}
