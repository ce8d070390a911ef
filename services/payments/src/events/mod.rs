//! The messages that payments consumes: commands from orders and events from identity. One file each; a new message
//! needs a new file and a line in its registry.

mod charge_payment;
mod commands;
mod refund_payment;
mod trace;
mod user_created;
mod user_deleted;
mod users;

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Registry, Unreadable, registry::uuid};
use flotilla_proto::{
    events::{Published, consumers},
    identity::v1::UserUpdated,
};
use prost::Message;
use uuid::Uuid;

pub use commands::Commands;
pub use users::UserEvents;

/// Maximum number of messages per transaction.
pub const MAX_EVENTS: usize = 512;

/// The commands from orders.
#[must_use]
pub fn commands() -> Registry<commands::Command> {
    Registry::of(&consumers::PAYMENTS_ORDERS).on(charge_payment::read).on(refund_payment::read)
}

/// The user events from identity. `UserUpdated` is ignored, because payments stores no names.
#[must_use]
pub fn users() -> Registry<Option<users::UserEvent>> {
    Registry::of(&consumers::PAYMENTS_IDENTITY).on(user_created::read).on(user_deleted::read).ignore::<UserUpdated>()
}

/// Parses the id in `users/{user}`.
fn parse_user(name: &str) -> Result<Uuid, Unreadable> {
    uuid("user", name.strip_prefix("users/").unwrap_or(name))
}

/// The reply to a command about an order, on its customer's account. A re-sent command gets a reply with the same id,
/// so that consumers recognise it as a duplicate.
pub fn reply<M: Message + Published>(ids: &Ids, message: &M, target: commands::Target) -> Event {
    Event::keyed(target.order, message, target.customer, 0, ids.now())
}

/// An event about a customer's account.
pub fn event<M: Message + Published>(ids: &Ids, message: &M, customer: Uuid) -> Event {
    Event::new(ids.next(), message, customer, 0, ids.now())
}

#[cfg(test)]
mod tests {
    use flotilla_proto::payments::v1::ChargePayment;

    use super::*;

    fn command(message: &ChargePayment) -> Event {
        let ids = Ids::system();
        Event::new(ids.next(), message, 1, 0, ids.now())
    }

    #[test]
    fn what_makes_no_sense_is_unreadable_with_its_reason() {
        let why = |message: &ChargePayment| commands().read(&command(message)).err();
        let message = ChargePayment { order_id: "x".into(), ..Default::default() };
        assert_eq!(why(&message).as_deref(), Some("order_id is not a UUID"));
        let id = Uuid::nil().to_string();
        let negative = ChargePayment {
            order_id: id.clone(),
            customer_id: id.clone(),
            amount_minor: -1,
            currency_code: "USD".into(),
        };
        assert_eq!(why(&negative).as_deref(), Some("amount_minor is negative"));
    }
}
