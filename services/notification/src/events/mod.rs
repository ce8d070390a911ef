//! The messages that notification consumes: one file for each message that makes a notice, and the registry of each
//! consumer. It publishes `DeliveryRecorded`.

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

use flotilla_messaging::Registry;
use flotilla_proto::events::consumers;
use flotilla_proto::identity::v1::{UserDeleted, UserUpdated};
use flotilla_proto::orders::v1::OrderPlaced;

use crate::domain::notice::Notice;

/// The events of orders.
fn orders() -> Registry<Option<Notice>> {
    Registry::of(&consumers::NOTIFICATION_ORDERS)
        .on(order_confirmed::read)
        .on(order_rejected::read)
        .on(order_cancelled::read)
        .ignore::<OrderPlaced>()
}

/// The events of payments.
fn payments() -> Registry<Option<Notice>> {
    Registry::of(&consumers::NOTIFICATION_PAYMENTS)
        .on(payment_charged::read)
        .on(payment_declined::read)
        .on(payment_refunded::read)
        .on(account_topped_up::read)
}

/// The events of identity.
fn identity() -> Registry<Option<Notice>> {
    Registry::of(&consumers::NOTIFICATION_IDENTITY)
        .on(user_created::read)
        .ignore::<UserUpdated>()
        .ignore::<UserDeleted>()
}

/// The registries of all consumers.
#[must_use]
pub fn registries() -> [Registry<Option<Notice>>; 3] {
    [orders(), payments(), identity()]
}
