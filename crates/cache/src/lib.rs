//! A cache in two levels, memory and Redis, and a lock.
//!
//! All its data can be lost, because PostgreSQL owns the data. Guarantees, each held by a test:
//! * No call waits for Redis longer than the command timeout; a Redis that is down or hangs costs almost nothing, because
//!   calls then return at once; the client reconnects in the background indefinitely. Callers see hits and loads, never
//!   errors of Redis.
//! * Where values have versions, a process never serves an older one than it has served before.
//! * After an invalidation its process serves no older value; other processes do so at most until the message reaches
//!   them, for the time in memory if it is lost, and for the time to live if Redis can't be reached.
//! * Of all readers of a key that isn't cached one loads, unless it takes longer than the others may wait.
//! * Memory is bounded by weight.
//!
//! [`TwoLevelCache`] is the chain: memory, Redis, load. [`Invalidator`] is for a service that changes what others cache.
//! [`Lock`] is Redlock with fencing numbers. [`remote::Remote`] is the Redis client as all of them need it; [`Redis`] is the
//! one implementation on a real server. `docs/caching.md` explains how versions, leases and messages work together.

pub mod guarded;
pub mod record;
pub mod remote;
pub mod scripts;

mod breaker;
mod early;
mod flights;
mod floors;
mod invalidation;
mod invalidator;
mod load;
mod lock;
mod memory;
mod metrics;
mod names;
mod policy;
mod random;
mod redis;
mod settings;
mod shared;
mod two_level;
mod value;

pub use invalidator::Invalidator;
pub use load::Load;
pub use lock::{Held, Lock};
pub use policy::Policy;
pub use redis::Redis;
pub use settings::{CacheSettings, InvalidationSettings};
pub use two_level::{Found, Loaded, LookUp, Parts, TwoLevelCache};
pub use value::Value;
