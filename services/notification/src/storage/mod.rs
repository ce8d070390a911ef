//! Notification's SQL. Every statement is a file of `queries/`.

mod deliveries;

pub use deliveries::{Delivery, Feeds, Recorded, record};
