//! `ReservationExpired`: inventory asks what is to become of a hold.

use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::ReservationExpired;

use super::{Reader, Reply, decode, reply};
use crate::domain::saga::Message;

/// Reads the message.
pub const READER: Reader<Option<Reply>> = Reader::of::<ReservationExpired>(read);

fn read(event: &Event) -> Result<Option<Reply>, String> {
    let message: ReservationExpired = decode(event)?;
    reply(&message.order_id, Message::ReservationExpired)
}
