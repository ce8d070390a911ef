//! From the domain to the protos.

use flotilla_proto::notification::v1::{Delivery, DeliveryKind};

use crate::domain::notice::Kind;
use crate::storage::Recorded;

/// A kind as clients see it.
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

/// A delivery as clients see it.
pub fn delivery(recorded: Recorded) -> Delivery {
    Delivery {
        name: format!("notifications/{}", recorded.id),
        sequence: recorded.sequence,
        kind: wire_kind(recorded.kind).into(),
        text: recorded.text,
        order: recorded.order.map(|order| format!("orders/{order}")).unwrap_or_default(),
        create_time: Some(recorded.created_at.into()),
    }
}
