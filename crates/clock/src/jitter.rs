//! Cheap randomness for ties and waits. Nothing is decided by it that has to be secret or repeatable.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A sequence of numbers that differs between processes (SplitMix64). Shared without a lock.
#[derive(Debug)]
pub struct Jitter(AtomicU64);

impl Default for Jitter {
    fn default() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }
}

impl Jitter {
    /// A sequence of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&self) -> u64 {
        let mut mixed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether one in `count` comes up.
    pub fn one_in(&self, count: u64) -> bool {
        self.next().is_multiple_of(count.max(1))
    }

    /// Any part of `whole` (full jitter).
    pub fn part_of(&self, whole: Duration) -> Duration {
        Duration::from_nanos(self.next() % u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX).max(1))
    }

    /// Any part of `first` doubled `times` times, but of no more than `most`.
    pub fn backoff(&self, first: Duration, times: u32, most: Duration) -> Duration {
        self.part_of(first.saturating_mul(1 << times.min(16)).min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_are_spread_over_all_of_it() {
        let jitter = Jitter::new();
        let (first, most) = (Duration::from_millis(10), Duration::from_millis(100));
        for (times, bound) in [(0, 10), (1, 20), (3, 80), (4, 100), (40, 100)] {
            let bound = Duration::from_millis(bound);
            let pauses: Vec<_> = (0..200).map(|_| jitter.backoff(first, times, most)).collect();
            assert!(pauses.iter().all(|pause| *pause < bound), "{times}");
            assert!(pauses.iter().any(|pause| *pause < bound / 4), "{times}");
            assert!(pauses.iter().any(|pause| *pause > bound / 4 * 3), "{times}");
        }
    }
}
