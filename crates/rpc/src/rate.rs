//! Rate limits: one token bucket per key, in bounded memory.
//!
//! A bucket is one number (the generic cell rate algorithm: the time at which it will be full again), so that a call
//! costs one lookup in a map. Beyond the maximum number, the least recently used bucket is dropped, which favours the
//! caller.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use flotilla_cgroup::Limits;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Shards of the map, each with its own lock. A power of two.
const SHARDS: usize = 16;

/// The memory of a bucket in bytes: key, time, and entries in list and table.
const KEY_BYTES: u64 = 128;
/// The divisor of limited memory that gives the part of one limiter's buckets.
const MEMORY_PART: u64 = 32;

/// Calls per second, and burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls per second in the long run; 0: no limit.
    pub per_second: u32,
    /// Calls that may be made at once after a pause; at least one.
    pub burst: u32,
}

/// Token buckets by key.
pub struct RateLimiter<K> {
    shards: Vec<Mutex<LruCache<K, u64>>>,
    /// Maximum number of keys in a shard.
    each: usize,
    hasher: RandomState,
    began: Instant,
    /// Read at each call, because it may change.
    rate: Box<dyn Fn() -> Rate + Send + Sync>,
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// Buckets for at most about `keys` keys (fewer if memory is limited), with the current result of `rate`.
    pub fn new(rate: impl Fn() -> Rate + Send + Sync + 'static, keys: usize) -> Self {
        Self {
            // The bound is enforced in `take`: a bounded map would allocate all of its memory at once.
            shards: (0..SHARDS).map(|_| Mutex::new(LruCache::unbounded())).collect(),
            each: (Limits::of_process().pieces(keys, KEY_BYTES, MEMORY_PART) / SHARDS).max(1),
            hasher: RandomState::new(),
            began: Instant::now(),
            rate: Box::new(rate),
        }
    }

    /// Takes a token from `key`'s bucket.
    ///
    /// # Errors
    /// The bucket is empty: how long until it holds one.
    pub fn take(&self, key: K) -> Result<(), Duration> {
        let Some((cost, depth)) = self.prices() else { return Ok(()) };
        let now = self.now();
        let mut buckets = self.shard(&key).lock();
        let full = buckets.get(&key).copied().unwrap_or(0).max(now);
        let ahead = full - now + cost;
        if ahead > depth {
            return Err(Duration::from_nanos(ahead - depth));
        }
        self.put(&mut buckets, key, full + cost);
        Ok(())
    }

    /// Checks that `key`'s bucket holds this many tokens, without taking them.
    ///
    /// # Errors
    /// It holds fewer: how long until it holds them.
    pub fn check(&self, key: &K, tokens: u32) -> Result<(), Duration> {
        let Some((cost, depth)) = self.prices() else { return Ok(()) };
        let now = self.now();
        let full = self.shard(key).lock().peek(key).copied().unwrap_or(0).max(now);
        let ahead = (full - now).saturating_add(cost.saturating_mul(u64::from(tokens)));
        if ahead > depth { Err(Duration::from_nanos(ahead - depth)) } else { Ok(()) }
    }

    /// Takes up to `tokens` tokens from `key`'s bucket, as many as it holds.
    pub fn charge(&self, key: K, tokens: u32) {
        let Some((cost, depth)) = self.prices() else { return };
        let now = self.now();
        let mut buckets = self.shard(&key).lock();
        let full = buckets.get(&key).copied().unwrap_or(0).max(now);
        let charged = full.saturating_add(cost.saturating_mul(u64::from(tokens)));
        self.put(&mut buckets, key, charged.min(now.saturating_add(depth)).max(full));
    }

    /// The cost of a call in nanoseconds of the bucket's time, and how far a bucket may be ahead of now; `None` if
    /// there is no limit.
    fn prices(&self) -> Option<(u64, u64)> {
        let rate = (self.rate)();
        let cost = 1_000_000_000_u64.checked_div(u64::from(rate.per_second))?.max(1);
        Some((cost, cost.saturating_mul(u64::from(rate.burst.max(1)))))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn put(&self, buckets: &mut LruCache<K, u64>, key: K, full: u64) {
        buckets.put(key, full);
        if buckets.len() > self.each {
            buckets.pop_lru();
        }
    }

    /// How many keys have a bucket.
    pub fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, key: &K) -> &Mutex<LruCache<K, u64>> {
        &self.shards[self.hasher.hash_one(key) as usize & (SHARDS - 1)]
    }
}

impl<K> fmt::Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("rate", &(self.rate)()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32, burst: u32, keys: usize) -> RateLimiter<u32> {
        RateLimiter::new(move || Rate { per_second, burst }, keys)
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
        let limiter = limiter(10, 5, 1000);
        for _ in 0..5 {
            limiter.take(1).unwrap();
        }
        let wait = limiter.take(1).unwrap_err();
        assert!(wait <= Duration::from_millis(100) && wait > Duration::from_millis(99), "{wait:?}");
        limiter.take(2).expect("another key has its own bucket");
        tokio::time::advance(wait).await;
        limiter.take(1).unwrap();
        limiter.take(1).unwrap_err();
        tokio::time::advance(Duration::from_secs(60)).await;
        limiter.check(&1, 5).unwrap();
        limiter.check(&1, 6).unwrap_err();
        let taken = (0..100).filter(|_| limiter.take(1).is_ok()).count();
        assert_eq!(taken, 5, "a pause fills the bucket, and no more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_charge_delays_later_calls_by_at_most_the_time_to_fill_an_empty_bucket() {
        let limiter = limiter(10, 5, 1000);
        limiter.charge(1, 3);
        limiter.take(1).unwrap();
        limiter.take(1).unwrap();
        limiter.take(1).unwrap_err();
        limiter.charge(1, 1_000);
        tokio::time::advance(Duration::from_millis(100)).await;
        limiter.take(1).expect("a bucket is never below empty");
        limiter.take(2).expect("another key isn't charged");
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let limiter = limiter(1, 1, 160);
        for key in 0..10_000 {
            let _ = limiter.take(key);
        }
        assert!(limiter.keys() <= 160, "{}", limiter.keys());
    }

    #[test]
    fn a_rate_of_zero_is_no_limit_and_keeps_nothing() {
        let limiter = limiter(0, 1, 10);
        assert!((0..1000).all(|_| limiter.take(1).is_ok()));
        assert_eq!(limiter.keys(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_rate_applies_from_the_next_call() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU32, Ordering};
        let per_second = Arc::new(AtomicU32::new(1));
        let asked = Arc::clone(&per_second);
        let limiter = RateLimiter::new(move || Rate { per_second: asked.load(Ordering::Relaxed), burst: 1 }, 10);
        limiter.take(1).unwrap();
        limiter.take(1).unwrap_err();
        per_second.store(0, Ordering::Relaxed);
        limiter.take(1).unwrap();
    }

    proptest::proptest! {
        /// Whatever the pauses, no more pass than the burst and what the rate has given since.
        #[test]
        fn no_more_pass_than_burst_and_rate_allow(pauses in proptest::collection::vec(0_u64..50, 1..200)) {
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(
                async {
                    let limiter = limiter(100, 7, 100);
                    let began = Instant::now();
                    let mut passed = 0_u64;
                    for pause in pauses {
                        tokio::time::advance(Duration::from_millis(pause)).await;
                        passed += u64::from(limiter.take(0).is_ok());
                        assert!(passed <= 7 + began.elapsed().as_millis() as u64 / 10 + 1);
                    }
                },
            );
        }
    }
}
