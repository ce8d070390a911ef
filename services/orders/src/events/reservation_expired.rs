//! `ReservationExpired`: inventory asks whether to release or commit a hold.

use flotilla_proto::inventory::v1::ReservationExpired;

use super::{Reply, Unreadable, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub fn read(message: &ReservationExpired) -> Result<Option<Reply>, Unreadable> {
    reply(&message.order_id, Message::ReservationExpired)
}
