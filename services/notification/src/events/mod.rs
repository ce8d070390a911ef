//! What notification hears and says on the broker: one file for each message that customers are told of.
//!
//! Consumes `flotilla.orders.events`, `flotilla.payments.events` and `flotilla.identity.users`; says
//! `flotilla.notification.deliveries`.

mod account_topped_up;
mod order_cancelled;
mod order_confirmed;
mod order_rejected;
mod payment_charged;
mod payment_declined;
mod payment_refunded;
mod recorder;
mod single_notice;
mod trace;
mod user_created;

pub use recorder::Recorder;
pub use single_notice::SingleNotice;

use flotilla_messaging::{ConsumerSpec, Event, StreamSpec};
use flotilla_proto::identity::v1::{UserCreated, UserDeleted, UserUpdated};
use flotilla_proto::orders::v1::{OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected};
use flotilla_proto::payments::v1::{AccountToppedUp, PaymentCharged, PaymentDeclined, PaymentRefunded};
use uuid::Uuid;

use crate::domain::notice::Notice;

/// Subject of what was recorded.
pub const DELIVERIES: &str = "flotilla.notification.deliveries";

/// The stream that notification's relay writes.
pub const STREAM: StreamSpec = StreamSpec { name: "NOTIFICATION", subjects: &[DELIVERIES] };

/// The streams that notification reads, up to `max_events` messages in one transaction.
#[must_use]
pub fn consumers(max_events: usize) -> [ConsumerSpec; 3] {
    [
        ConsumerSpec {
            name: "notification-orders",
            stream: "ORDERS",
            subjects: &["flotilla.orders.events"],
            max_events,
        },
        ConsumerSpec {
            name: "notification-payments",
            stream: "PAYMENTS",
            subjects: &["flotilla.payments.events"],
            max_events,
        },
        ConsumerSpec {
            name: "notification-identity",
            stream: "IDENTITY",
            subjects: &["flotilla.identity.users"],
            max_events,
        },
    ]
}

/// How a message is read: what a customer is to be told, if anything; the text says why it can't be read.
type Read = fn(&Event) -> Result<Option<Notice>, String>;

/// A message that notification knows.
struct Known {
    is: fn(&Event) -> bool,
    name: fn() -> String,
    read: Read,
}

const fn known<M: prost::Name>(read: Read) -> Known {
    Known { is: Event::is::<M>, name: full_name::<M>, read }
}

/// Every message that notification knows, and those that it needn't tell anyone.
const KNOWN: &[Known] = &[
    known::<OrderConfirmed>(order_confirmed::read),
    known::<OrderRejected>(order_rejected::read),
    known::<OrderCancelled>(order_cancelled::read),
    known::<PaymentCharged>(payment_charged::read),
    known::<PaymentDeclined>(payment_declined::read),
    known::<PaymentRefunded>(payment_refunded::read),
    known::<AccountToppedUp>(account_topped_up::read),
    known::<UserCreated>(user_created::read),
    known::<OrderPlaced>(nothing),
    known::<UserUpdated>(nothing),
    known::<UserDeleted>(nothing),
];

fn full_name<M: prost::Name>() -> String {
    M::full_name()
}

/// Reads a message of which nobody is told.
fn nothing(_: &Event) -> Result<Option<Notice>, String> {
    Ok(None)
}

/// Reads a message.
fn read(event: &Event) -> Result<Option<Notice>, String> {
    match KNOWN.iter().find(|known| (known.is)(event)) {
        Some(known) => (known.read)(event),
        None => Err(format!("{} is not known", event.kind)),
    }
}

/// The full names of all known messages.
fn kinds() -> impl Iterator<Item = String> {
    KNOWN.iter().map(|known| (known.name)())
}

/// Decodes a message.
fn decode<M: prost::Message + Default>(event: &Event) -> Result<M, String> {
    event.decode().map_err(|error| error.to_string())
}

/// Reads an id.
fn uuid(field: &str, id: &str) -> Result<Uuid, String> {
    Uuid::try_parse(id).map_err(|_| format!("{field} is not a UUID"))
}
