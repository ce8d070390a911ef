//! Notification's gRPC service: a customer's deliveries by pages, and live.

mod convert;
mod live;
mod notification;

pub use convert::wire_kind;
pub use notification::NotificationApi;

use flotilla_rpc::{Access, AccessRules};

/// Who may call what: everyone their own.
#[must_use]
pub fn access() -> AccessRules {
    AccessRules::new()
        .allow("/flotilla.notification.v1.NotificationService/ListDeliveries", Access::Authenticated)
        .allow("/flotilla.notification.v1.NotificationService/StreamDeliveries", Access::Authenticated)
}
