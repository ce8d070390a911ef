//! Notification's gRPC service: a customer's deliveries in pages, live, and both ways; and the customer's preferences.

mod convert;
mod live;
mod notification;
mod preferences;
mod subscription;

pub use convert::wire_kind;
pub use notification::NotificationApi;
