//! Notification's SQL. Every statement is a file of `queries/`.

mod deliveries;
mod page_key;

pub use deliveries::{Delivery, Feeds, Recorded, record};
pub use page_key::PageKey;
