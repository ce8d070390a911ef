//! Conversions from the domain to the protos.

use flotilla_listing::etag;
use flotilla_proto::notification::v1::{self as proto, Delivery, DeliveryKind};
use uuid::Uuid;

use crate::domain::notice::Kind;
use crate::storage::{Preferences, Recorded};

/// Converts a kind for clients.
#[must_use]
pub fn wire_kind(kind: Kind) -> DeliveryKind {
    match kind {
        Kind::Welcome => DeliveryKind::Welcome,
        Kind::OrderConfirmed => DeliveryKind::OrderConfirmed,
        Kind::OrderRejected => DeliveryKind::OrderRejected,
        Kind::OrderCancelled => DeliveryKind::OrderCancelled,
        Kind::PaymentCharged => DeliveryKind::PaymentCharged,
        Kind::PaymentDeclined => DeliveryKind::PaymentDeclined,
        Kind::PaymentRefunded => DeliveryKind::PaymentRefunded,
        Kind::AccountToppedUp => DeliveryKind::AccountToppedUp,
    }
}

/// Converts a delivery for clients.
pub fn delivery(recorded: Recorded) -> Delivery {
    Delivery {
        name: format!("notifications/{}", recorded.id),
        sequence: recorded.sequence,
        kind: wire_kind(recorded.kind).into(),
        text: recorded.text,
        order: recorded.order.map(|order| format!("orders/{order}")).unwrap_or_default(),
        create_time: Some(recorded.created_at.into()),
        acknowledge_time: recorded.acknowledged_at.map(Into::into),
    }
}

/// Parses the kinds in a request; the contract's rules reject unknown ones.
pub fn kinds(wanted: &[i32]) -> Vec<Kind> {
    Kind::ALL.into_iter().filter(|kind| wanted.contains(&wire_kind(*kind).into())).collect()
}

/// Converts kinds for clients.
pub fn wire_kinds(kinds: &[Kind]) -> Vec<i32> {
    kinds.iter().map(|kind| wire_kind(*kind).into()).collect()
}

/// Converts preferences for clients.
pub fn preferences(user: Uuid, preferences: &Preferences) -> proto::Preferences {
    proto::Preferences {
        name: format!("users/{user}/notificationPreferences"),
        muted_kinds: wire_kinds(&preferences.muted),
        etag: etag::of(preferences.version, etag::time(preferences.updated_at)),
        update_time: preferences.updated_at.map(Into::into),
    }
}
