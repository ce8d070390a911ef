//! Time, randomness and ids as dependencies, and the waits between attempts.
//!
//! Production passes [`SystemClock`] and [`OsRandom`]; a simulation passes its own. `clippy.toml` bans the ambient ones.
//! [`Ids`] makes message ids and knows the time, [`Backoff`] and [`Jitter`] space attempts so that replicas don't repeat
//! in step.

mod backoff;
mod clock;
mod ids;
mod jitter;
mod random;

pub use backoff::Backoff;
pub use clock::{Clock, SystemClock};
pub use ids::{Ids, time_of, unix_millis};
pub use jitter::Jitter;
pub use random::{OsRandom, Random, unit};
