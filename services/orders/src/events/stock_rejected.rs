//! `StockRejected`: nothing is held.

use flotilla_proto::inventory::v1::{StockRejected, StockRejection};

use super::{Reply, Unreadable, reply};
use crate::domain::saga::{Message, Reason};

/// Reads the message.
pub fn read(message: &StockRejected) -> Result<Option<Reply>, Unreadable> {
    let reason = match message.rejection() {
        StockRejection::UnknownProduct => Reason::UnknownProduct,
        StockRejection::Released => Reason::ReservationExpired,
        StockRejection::OutOfStock | StockRejection::Unspecified => Reason::OutOfStock,
    };
    reply(&message.order_id, Message::StockRejected(reason))
}
