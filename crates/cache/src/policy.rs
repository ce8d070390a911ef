//! How long entries live, and how long readers wait.

use std::time::Duration;

use flotilla_clock::{Random, unit};
use flotilla_config::{HumanDuration, Live};

/// By how much a time to live is shortened at most, so that entries of one moment don't expire in one moment.
const JITTER: f64 = 0.1;

/// Times and sizes of a cache.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long a value is fresh, counted from the beginning of its load. 0 disables the cache.
    pub ttl: Live<HumanDuration>,
    /// How long a process may use it without asking Redis: the bound of what a lost invalidation costs.
    pub memory_ttl: Duration,
    /// How long after that it may be used if loading fails.
    pub stale: Duration,
    /// How long it is known that there is no value.
    pub negative_ttl: Duration,
    /// How long a reader waits for another one's load before it loads itself.
    pub wait: Duration,
    /// Maximum time of a load; the result of a longer one isn't cached.
    pub load_timeout: Duration,
    /// Maximum weight of the entries in memory, in bytes.
    pub memory: u64,
}

impl Policy {
    /// How long a new entry is fresh and how long it is usable after that.
    pub(crate) fn lifetime(&self, has_value: bool, random: &dyn Random) -> (Duration, Duration) {
        let (ttl, stale) =
            if has_value { (self.ttl.get().get(), self.stale) } else { (self.negative_ttl, Duration::ZERO) };
        (ttl.mul_f64(1.0 - JITTER * unit(random)), stale)
    }

    /// How long an old value can exist anywhere. What is known about a key is remembered for that long.
    pub(crate) fn longest(&self) -> Duration {
        self.ttl.get().get().max(self.negative_ttl) + self.stale + self.load_timeout
    }

    pub(crate) fn is_enabled(&self) -> bool {
        !self.ttl.get().get().is_zero()
    }
}
