//! What payments reads from the broker: commands of orders, events of identity. One file a message; a new one is a file
//! and a line in its registry here.

mod charge_payment;
mod commands;
mod refund_payment;
mod trace;
mod user_created;
mod user_deleted;
mod user_updated;
mod users;

use flotilla_messaging::{ConsumerSpec, Event, Ids};
use prost::{Message, Name};
use uuid::Uuid;

pub use commands::Commands;
pub use users::UserEvents;

/// The subject of all that payments says.
const SUBJECT: &str = "flotilla.payments.events";

/// The commands of orders.
pub const ORDERS: ConsumerSpec = ConsumerSpec {
    name: "payments-orders",
    stream: "ORDERS",
    subjects: &["flotilla.orders.payments"],
    max_events: 512,
};

/// The users of identity.
pub const IDENTITY: ConsumerSpec = ConsumerSpec {
    name: "payments-identity",
    stream: "IDENTITY",
    subjects: &["flotilla.identity.users"],
    max_events: 512,
};

/// A type of message and how it is read: the whole of what a consumer knows of it.
struct Entry<T> {
    kind: &'static str,
    read: fn(&Event) -> Result<T, Unreadable>,
}

/// The commands that payments carries out.
const COMMANDS: &[Entry<commands::Command>] = &[
    Entry { kind: charge_payment::KIND, read: charge_payment::read },
    Entry { kind: refund_payment::KIND, read: refund_payment::read },
];

/// The events of users that payments follows.
const USERS: &[Entry<users::UserEvent>] = &[
    Entry { kind: user_created::KIND, read: user_created::read },
    Entry { kind: user_updated::KIND, read: user_updated::read },
    Entry { kind: user_deleted::KIND, read: user_deleted::read },
];

/// A message that no repetition makes readable; the reason goes to its dead letter.
type Unreadable = String;

fn knows<T>(registry: &[Entry<T>], kind: &str) -> bool {
    registry.iter().any(|entry| entry.kind == kind)
}

fn read<T>(registry: &[Entry<T>], event: &Event) -> Result<T, Unreadable> {
    let entry = registry.iter().find(|entry| entry.kind == event.kind);
    entry.ok_or_else(|| format!("unknown type {}", event.kind)).and_then(|entry| (entry.read)(event))
}

fn decode<M: Message + Default>(event: &Event) -> Result<M, Unreadable> {
    event.decode().map_err(|error| format!("undecodable: {error}"))
}

fn parse_id(field: &str, id: &str) -> Result<Uuid, Unreadable> {
    Uuid::try_parse(id).map_err(|_| format!("{field} is not a UUID"))
}

/// The id in `users/{user}`.
fn parse_user(name: &str) -> Result<Uuid, Unreadable> {
    parse_id("user", name.strip_prefix("users/").unwrap_or(name))
}

/// An event about a customer's account.
pub fn event<M: Message + Name>(ids: &Ids, message: &M, customer: Uuid) -> Event {
    Event::new(ids.next(), SUBJECT, message, format!("accounts/{customer}"), 0, ids.now())
}

#[cfg(test)]
mod tests {
    use flotilla_proto::{
        identity::v1::{UserCreated, UserDeleted, UserUpdated},
        payments::v1::{ChargePayment, RefundPayment},
    };

    use super::*;

    #[test]
    fn the_registries_name_the_contracts_messages() {
        let kinds: Vec<_> =
            COMMANDS.iter().map(|entry| entry.kind).chain(USERS.iter().map(|entry| entry.kind)).collect();
        assert_eq!(
            kinds,
            [
                ChargePayment::full_name(),
                RefundPayment::full_name(),
                UserCreated::full_name(),
                UserUpdated::full_name(),
                UserDeleted::full_name()
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_is_unreadable_with_its_reason() {
        let ids = Ids::system();
        let message = ChargePayment { order_id: "x".into(), ..Default::default() };
        let broken = event(&ids, &message, Uuid::nil());
        assert_eq!(read(COMMANDS, &broken).err().as_deref(), Some("order_id is not a UUID"));
        let id = Uuid::nil().to_string();
        let negative = ChargePayment {
            order_id: id.clone(),
            customer_id: id.clone(),
            amount_minor: -1,
            currency_code: "USD".into(),
        };
        let negative = event(&ids, &negative, Uuid::nil());
        assert_eq!(read(COMMANDS, &negative).err().as_deref(), Some("amount_minor is negative"));
        let unknown = Event { kind: "flotilla.payments.v2.ChargePayment".into(), ..negative };
        assert!(!knows(COMMANDS, &unknown.kind));
        assert!(read(COMMANDS, &unknown).is_err());
        let garbled = Event { kind: charge_payment::KIND.into(), data: vec![0xff].into(), ..unknown };
        assert!(read(COMMANDS, &garbled).is_err());
    }
}
