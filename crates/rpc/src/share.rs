//! Limits how many of something each key may hold at once: one counter for each key, removed with the last item it
//! holds.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

/// Shards of the map, each with its own lock. A power of two.
const SHARDS: usize = 16;

/// The counters by key. Cheap to clone.
pub struct Shares<K> {
    counts: Arc<Counts<K>>,
    most: usize,
}

struct Counts<K> {
    shards: [Mutex<HashMap<K, usize>>; SHARDS],
    hasher: RandomState,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    /// Shares of at most `most` each; 0: unbounded.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { counts: Arc::new(Counts { shards, hasher: RandomState::new() }), most }
    }

    /// Takes one item of `key`'s share, until it is dropped. `None` if the share is used up.
    #[must_use]
    pub fn take(&self, key: K) -> Option<Share<K>> {
        let mut counts = self.counts.shard(&key).lock();
        let count = counts.entry(key.clone()).or_default();
        if self.most > 0 && *count >= self.most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Share { counts: Arc::clone(&self.counts), key })
    }

    /// How many keys hold something.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.counts.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self { counts: Arc::clone(&self.counts), most: self.most }
    }
}

impl<K> fmt::Debug for Shares<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").field("most", &self.most).finish_non_exhaustive()
    }
}

impl<K: Hash> Counts<K> {
    fn shard(&self, key: &K) -> &Mutex<HashMap<K, usize>> {
        &self.shards[self.hasher.hash_one(key) as usize & (SHARDS - 1)]
    }
}

/// One of the items that a key holds, returned on drop.
pub struct Share<K: Hash + Eq> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.shard(&self.key).lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

impl<K: Hash + Eq> fmt::Debug for Share<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_share_and_is_removed_with_its_last_item() {
        let shares = Shares::new(2);
        let first = shares.take("a").unwrap();
        let _second = shares.take("a").unwrap();
        assert!(shares.take("a").is_none());
        let other = shares.take("b").unwrap();
        drop(first);
        assert!(shares.take("a").is_some());
        drop(other);
        assert_eq!(shares.keys(), 1);
    }

    #[test]
    fn a_share_of_zero_is_unlimited() {
        let shares = Shares::new(0);
        let taken: Vec<_> = (0..1000).map_while(|_| shares.take(1)).collect();
        assert_eq!(taken.len(), 1000);
    }
}
