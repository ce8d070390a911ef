//! Notification's SQL. Each statement is a file in `queries/`.

mod deliveries;
mod notices;
mod preferences;

pub use deliveries::{Delivery, Feeds, LastSequences, Recorded, Wanted, known, lock_feeds, record};
pub use notices::{Step, decide, single};
pub use preferences::{PreferenceStore, Preferences, muted};
