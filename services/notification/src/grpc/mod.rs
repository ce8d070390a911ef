//! Notification's gRPC service: a customer's deliveries by pages, live, and both ways; and what they want to be told.

mod convert;
mod live;
mod notification;
mod preferences;
mod subscription;

pub use convert::wire_kind;
pub use notification::NotificationApi;
