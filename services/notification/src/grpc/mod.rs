//! Notification's gRPC service: a customer's deliveries in pages, as a live feed and as a bidirectional feed; and the
//! customer's preferences.

mod convert;
mod live;
mod notification;
mod preferences;
mod subscription;

pub use convert::wire_kind;
pub use notification::NotificationApi;
