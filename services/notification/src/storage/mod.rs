//! Notification's SQL. Every statement is a file of `queries/`.

mod deliveries;
mod notices;
mod preferences;

pub use deliveries::{Delivery, Feeds, LastSequences, Recorded, Wanted, record};
pub use notices::{Step, decide, single};
pub use preferences::{PreferenceStore, Preferences, muted};
