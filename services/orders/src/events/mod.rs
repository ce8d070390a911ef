//! What orders hears on the broker: one file for each message consumed, and the registry of them.
//!
//! Consumes `flotilla.inventory.replies`, `flotilla.payments.events` (replies of the saga) and
//! `flotilla.inventory.products` (the catalogue). A new message is a new file and a line in a registry.

mod account_topped_up;
mod payment_charged;
mod payment_declined;
mod payment_refunded;
mod price_changed;
mod product_changed;
mod products;
mod replies;
mod reservation_expired;
mod stock_rejected;
mod stock_released;
mod stock_reserved;

pub use products::Products;
pub use replies::Replies;

use flotilla_messaging::{ConsumerSpec, Event, StreamSpec};
use uuid::Uuid;

use crate::{
    domain::saga::Message,
    saga::{ORDERS_EVENTS, TO_INVENTORY, TO_PAYMENTS},
    storage::catalogue::Product,
};

/// The stream that the relay of orders writes.
pub const STREAM: StreamSpec = StreamSpec { name: "ORDERS", subjects: &[TO_INVENTORY, TO_PAYMENTS, ORDERS_EVENTS] };

/// Inventory's answers.
const INVENTORY_REPLIES: &[Reader<Option<Reply>>] =
    &[stock_reserved::READER, stock_rejected::READER, stock_released::READER, reservation_expired::READER];

/// Payments' answers.
const PAYMENT_REPLIES: &[Reader<Option<Reply>>] =
    &[payment_charged::READER, payment_declined::READER, payment_refunded::READER, account_topped_up::READER];

/// What inventory says of its products.
const PRODUCTS: &[Reader<Option<Product>>] = &[product_changed::READER, price_changed::READER];

/// The consumer of inventory's answers and what it understands.
#[must_use]
pub fn inventory(max_events: usize) -> (ConsumerSpec, Registry<Option<Reply>>) {
    let subjects = &["flotilla.inventory.replies"];
    (ConsumerSpec { name: "orders-inventory", stream: "INVENTORY", subjects, max_events }, Registry(INVENTORY_REPLIES))
}

/// The consumer of payments' answers and what it understands.
#[must_use]
pub fn payments(max_events: usize) -> (ConsumerSpec, Registry<Option<Reply>>) {
    let subjects = &["flotilla.payments.events"];
    (ConsumerSpec { name: "orders-payments", stream: "PAYMENTS", subjects, max_events }, Registry(PAYMENT_REPLIES))
}

/// The consumer of the catalogue's changes and what it understands.
#[must_use]
pub fn catalogue(max_events: usize) -> (ConsumerSpec, Registry<Option<Product>>) {
    let subjects = &["flotilla.inventory.products"];
    (ConsumerSpec { name: "orders-catalogue", stream: "INVENTORY", subjects, max_events }, Registry(PRODUCTS))
}

/// An answer to one order's saga.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The order.
    pub order: Uuid,
    /// What it means to the saga.
    pub message: Message,
}

/// How messages of one type are read. A reader may find that a message is of no concern.
#[derive(Clone, Copy)]
pub struct Reader<T> {
    package: &'static str,
    name: &'static str,
    read: fn(&Event) -> Result<T, String>,
}

impl<T> Reader<T> {
    /// The reader of `M`.
    const fn of<M: prost::Name>(read: fn(&Event) -> Result<T, String>) -> Self {
        Self { package: M::PACKAGE, name: M::NAME, read }
    }

    fn knows(&self, kind: &str) -> bool {
        kind.strip_prefix(self.package).and_then(|rest| rest.strip_prefix('.')) == Some(self.name)
    }
}

/// The readers of one consumer.
#[derive(Clone, Copy)]
pub struct Registry<T: 'static>(&'static [Reader<T>]);

impl<T> Registry<T> {
    /// Whether messages of this type are understood.
    #[must_use]
    pub fn knows(&self, kind: &str) -> bool {
        self.0.iter().any(|reader| reader.knows(kind))
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The text says why it can't be read.
    pub fn read(&self, event: &Event) -> Result<T, String> {
        match self.0.iter().find(|reader| reader.knows(&event.kind)) {
            Some(reader) => (reader.read)(event),
            None => Err(format!("{} is not known here", event.kind)),
        }
    }
}

/// Decodes a message.
fn decode<M: prost::Message + Default>(event: &Event) -> Result<M, String> {
    event.decode().map_err(|error| error.to_string())
}

/// Reads an answer about an order.
fn reply(order_id: &str, message: Message) -> Result<Option<Reply>, String> {
    let order = Uuid::try_parse(order_id).map_err(|_| "order_id is not a UUID".to_owned())?;
    Ok(Some(Reply { order, message }))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use flotilla_proto::{
        inventory::v1::{StockRejected, StockRejection, StockReserved},
        payments::v1::{AccountToppedUp, PaymentDecline, PaymentDeclined},
    };
    use prost::{Message as _, Name};

    use super::*;
    use crate::domain::saga::Reason;

    fn event<M: prost::Message + Name>(message: &M) -> Event {
        Event::new(Uuid::from_u128(1), "flotilla.test", message, "orders/1".into(), 0, UNIX_EPOCH)
    }

    fn order_id() -> String {
        Uuid::from_u128(7).to_string()
    }

    #[test]
    fn every_reply_is_known_to_its_consumer_alone() {
        let (_, inventory) = inventory(1);
        let (_, payments) = payments(1);
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
            let read = inventory(1).1.read(&event(&message)).unwrap().unwrap();
            assert_eq!(read.message, Message::StockRejected(reason));
        }
        for (decline, reason) in [
            (PaymentDecline::InsufficientFunds, Reason::InsufficientFunds),
            (PaymentDecline::AccountClosed, Reason::PaymentDeclined),
            (PaymentDecline::CurrencyMismatch, Reason::PaymentDeclined),
        ] {
            let message = PaymentDeclined { order_id: order_id(), customer_id: String::new(), decline: decline.into() };
            let read = payments(1).1.read(&event(&message)).unwrap().unwrap();
            assert_eq!(read.message, Message::PaymentDeclined(reason));
        }
    }

    #[test]
    fn what_is_of_no_concern_is_read_as_nothing() {
        let message = AccountToppedUp { customer_id: order_id(), amount_minor: 1, currency_code: "USD".into() };
        assert_eq!(payments(1).1.read(&event(&message)), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let message = StockReserved { order_id: "7".into(), expire_time: None };
        assert_eq!(inventory(1).1.read(&event(&message)), Err("order_id is not a UUID".into()));
        let mut broken = event(&message);
        broken.data = vec![0xff].into();
        assert!(StockReserved::decode(broken.data.clone()).is_err());
        assert!(inventory(1).1.read(&broken).is_err());
    }
}
