//! Messaging and Redis in memory: broker, store, remote, clock and randomness, for simulation and fast tests.
//!
//! They pass the same contract suites as the real implementations (transaction ids that hold later rows back, leases,
//! savepoints, redelivery after the ack wait, streams that refuse an unexpected last sequence) and can be made to fail:
//! the broker becomes unavailable, loses streams or their tails; the store refuses, or commits and loses the response;
//! the remote loses requests, responses and messages, hangs, restarts, and its clock jumps.
//! Time is tokio's, so it is virtual in a paused runtime.

mod broker;
mod clock;
mod inbox;
mod outbox;
mod random;
mod remote;
mod remote_scripts;
mod store;

pub use broker::{MemoryBroker, MemoryDelivery, MemoryPings, MemorySubscription};
pub use clock::MemoryClock;
pub use outbox::MemoryRow;
pub use random::SeededRandom;
pub use remote::{Losses, MemoryRemote, Snapshot};
pub use store::{MemoryStore, MemoryTx, ParkedRow, StoreFault};
