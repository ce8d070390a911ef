//! The seams of messaging in memory: broker, store, clock and randomness, for simulation and for tests that must be
//! quick.
//!
//! They keep the contracts that the real ones keep (transaction ids and their holding back, leases, savepoints,
//! redelivery after the ack wait, streams that refuse an unexpected last sequence) and can be made to fail: the
//! broker goes away, loses its streams or their tails; the store refuses, or commits and loses the answer. Time is
//! tokio's, so a paused runtime makes it virtual.

mod broker;
mod clock;
mod inbox;
mod outbox;
mod random;
mod store;

pub use broker::{MemoryBroker, MemoryDelivery, MemoryPings, MemorySubscription};
pub use clock::MemoryClock;
pub use outbox::MemoryRow;
pub use random::SeededRandom;
pub use store::{MemoryStore, MemoryTx, ParkedRow, StoreFault};
