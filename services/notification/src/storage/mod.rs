//! Notification's SQL. Every statement is a file of `queries/`.

mod deliveries;
mod preferences;

pub use deliveries::{Delivery, Feeds, Recorded, Wanted, record};
pub use preferences::{PreferenceStore, Preferences, muted};
