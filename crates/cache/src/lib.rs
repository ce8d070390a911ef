//! A cache in Redis.
//!
//! All its data can be lost, because PostgreSQL owns the data. Guarantees: no call waits longer than the command timeout; a
//! Redis that is down or hangs costs almost nothing, because calls then return at once; the client reconnects in the
//! background indefinitely. Callers see hits and misses, never errors.

pub mod guarded;
pub mod record;
pub mod remote;
pub mod scripts;

mod breaker;
mod cache;
mod early;
mod flights;
mod floors;
mod invalidation;
mod load;
mod memory;
mod metrics;
mod policy;
mod redis;
mod settings;
mod two_level;
mod value;

pub use cache::Cache;
pub use load::Load;
pub use policy::Policy;
pub use redis::Redis;
pub use two_level::{Found, LookUp, Loaded, Parts, TwoLevelCache};
pub use value::Value;
pub use settings::CacheSettings;
