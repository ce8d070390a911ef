//! The messages that orders consumes: one file each, and the registry of each consumer. A new message needs a new file
//! and a line in a registry.

mod payment_charged;
mod payment_declined;
mod payment_refunded;
mod product_changed;
mod products;
mod replies;
mod reservation_expired;
mod stock_rejected;
mod stock_released;
mod stock_reserved;

pub use products::Products;
pub use replies::Replies;

use flotilla_messaging::{Registry, Unreadable, registry::uuid};
use flotilla_proto::{events::consumers, inventory::v1::PriceChanged, payments::v1::AccountToppedUp};
use uuid::Uuid;

use crate::{domain::saga::Message, storage::catalogue::Product};

/// Inventory's replies.
#[must_use]
pub fn inventory() -> Registry<Option<Reply>> {
    Registry::of(&consumers::ORDERS_INVENTORY)
        .on(stock_reserved::read)
        .on(stock_rejected::read)
        .on(stock_released::read)
        .on(reservation_expired::read)
}

/// Payments' replies.
#[must_use]
pub fn payments() -> Registry<Option<Reply>> {
    Registry::of(&consumers::ORDERS_PAYMENTS)
        .on(payment_charged::read)
        .on(payment_declined::read)
        .on(payment_refunded::read)
        .ignore::<AccountToppedUp>()
}

/// The catalogue's changes. `ProductChanged` also contains the price.
#[must_use]
pub fn catalogue() -> Registry<Option<Product>> {
    Registry::of(&consumers::ORDERS_CATALOGUE).on(product_changed::read).ignore::<PriceChanged>()
}

/// A reply to one order's saga.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The order.
    pub order: Uuid,
    /// The message for the saga.
    pub message: Message,
}

/// Reads a reply about an order.
fn reply(order_id: &str, message: Message) -> Result<Option<Reply>, Unreadable> {
    Ok(Some(Reply { order: uuid("order_id", order_id)?, message }))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use flotilla_messaging::Event;
    use flotilla_proto::{
        events::Published,
        inventory::v1::{StockRejected, StockRejection, StockReserved},
        payments::v1::{AccountToppedUp, PaymentDecline, PaymentDeclined},
    };
    use prost::{Message as _, Name};

    use super::*;
    use crate::domain::saga::Reason;

    fn event<M: prost::Message + Published>(message: &M) -> Event {
        Event::new(Uuid::from_u128(1), message, 1, 0, UNIX_EPOCH)
    }

    fn order_id() -> String {
        Uuid::from_u128(7).to_string()
    }

    #[test]
    fn every_reply_is_known_to_its_consumer_alone() {
        let inventory = inventory();
        let payments = payments();
        assert!(inventory.knows(&StockReserved::full_name()));
        assert!(!payments.knows(&StockReserved::full_name()));
        assert!(payments.knows(&AccountToppedUp::full_name()));
        assert!(!inventory.knows("flotilla.inventory.v2.StockReserved"));
        assert!(!inventory.knows("StockReserved"));
    }

    #[test]
    fn a_refusal_brings_its_reason() {
        for (rejection, reason) in [
            (StockRejection::OutOfStock, Reason::OutOfStock),
            (StockRejection::UnknownProduct, Reason::UnknownProduct),
            (StockRejection::Released, Reason::ReservationExpired),
            (StockRejection::Unspecified, Reason::OutOfStock),
        ] {
            let message = StockRejected { order_id: order_id(), rejection: rejection.into(), product_ids: vec![] };
            let read = inventory().read(&event(&message)).unwrap().unwrap();
            assert_eq!(read.message, Message::StockRejected(reason));
        }
        for (decline, reason) in [
            (PaymentDecline::InsufficientFunds, Reason::InsufficientFunds),
            (PaymentDecline::AccountClosed, Reason::PaymentDeclined),
            (PaymentDecline::CurrencyMismatch, Reason::PaymentDeclined),
        ] {
            let message = PaymentDeclined { order_id: order_id(), customer_id: String::new(), decline: decline.into() };
            let read = payments().read(&event(&message)).unwrap().unwrap();
            assert_eq!(read.message, Message::PaymentDeclined(reason));
        }
    }

    #[test]
    fn what_is_of_no_concern_is_read_as_nothing() {
        let message = AccountToppedUp { customer_id: order_id(), amount_minor: 1, currency_code: "USD".into() };
        assert_eq!(payments().read(&event(&message)), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let message = StockReserved { order_id: "7".into(), expire_time: None };
        assert_eq!(inventory().read(&event(&message)), Err("order_id is not a UUID".into()));
        let mut broken = event(&message);
        broken.data = vec![0xff].into();
        assert!(StockReserved::decode(broken.data.clone()).is_err());
        assert!(inventory().read(&broken).is_err());
    }
}
