//! `StockRejected`: nothing is held.

use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::{StockRejected, StockRejection};

use super::{Reader, Reply, decode, reply};
use crate::domain::saga::{Message, Reason};

/// Reads the message.
pub const READER: Reader<Option<Reply>> = Reader::of::<StockRejected>(read);

fn read(event: &Event) -> Result<Option<Reply>, String> {
    let message: StockRejected = decode(event)?;
    let reason = match message.rejection() {
        StockRejection::UnknownProduct => Reason::UnknownProduct,
        StockRejection::Released => Reason::ReservationExpired,
        StockRejection::OutOfStock | StockRejection::Unspecified => Reason::OutOfStock,
    };
    reply(&message.order_id, Message::StockRejected(reason))
}
