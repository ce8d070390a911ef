//! A cache in Redis.
//!
//! Owns nothing that can't be lost: Redis caches, PostgreSQL owns. Guarantees: no call waits longer than the command
//! timeout; a Redis that is down or hangs costs next to nothing, because calls then return at once; it is reconnected
//! to in the background for ever. Callers see hits and misses, never errors.

mod breaker;
mod cache;
mod metrics;
mod settings;

pub use cache::Cache;
pub use settings::CacheSettings;
