//! A cache in Redis.
//!
//! All its data can be lost, because PostgreSQL owns the data. Guarantees: no call waits longer than the command timeout; a
//! Redis that is down or hangs costs almost nothing, because calls then return at once; the client reconnects in the
//! background indefinitely. Callers see hits and misses, never errors.

pub mod guarded;
pub mod remote;

mod breaker;
mod cache;
mod metrics;
mod redis;
mod settings;

pub use cache::Cache;
pub use redis::Redis;
pub use settings::CacheSettings;
