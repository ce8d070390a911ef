//! What a fleet is opened with: passwords made at first start, and the users of NATS with what each may do.

pub mod nats_users;
pub mod secrets;
