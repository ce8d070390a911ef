//! A fleet's credentials: passwords generated at the first start, and the users of NATS with their permissions.

pub mod nats_users;
pub mod secrets;
