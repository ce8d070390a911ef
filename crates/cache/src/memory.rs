//! The first level: entries in memory, bounded by weight, and what is known about the versions of their keys.
//!
//! A *floor* is what this process knows about a key: the highest version seen and how often the key was invalidated. It
//! outlives the entry, so that an old value in Redis, or one of a slow loader, is recognised. Floors are kept for as
//! long as such a value can exist, and at most [`MAX_FLOORS`](crate::floors::MAX_FLOORS) of them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;
use quick_cache::sync::{Cache as Entries, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use tokio::time::Instant;

use crate::floors::Floors;
use crate::value::Value;

pub use crate::floors::{Stamp, Unsent};

/// Weight of an entry besides its key and value: the structures around them, measured and rounded up.
const OVERHEAD: usize = 192;
/// Typical weight of an entry, from which the tables' first size follows.
const TYPICAL: u64 = 1_024;

/// A cached value, or that there is none.
#[derive(Debug)]
pub struct Entry<V> {
    /// The value; `None` if its source has none.
    pub value: Option<V>,
    /// Its version; 0 if unknown.
    pub version: u64,
    /// Until when this process may use it without asking Redis.
    pub in_memory_until: Instant,
    /// Until when it is fresh.
    pub fresh_until: Instant,
    /// Until when it may be used if loading fails.
    pub usable_until: Instant,
    /// How long loading it took.
    pub load_time: Duration,
}

/// The first level.
pub struct Memory<V: Value> {
    entries: Entries<Arc<str>, Arc<Entry<V>>, Weight, DefaultHashBuilder, CountEvictions>,
    floors: Mutex<Floors>,
}

impl<V: Value> Memory<V> {
    /// Holds entries up to a weight of `bytes`, and floors for `remember`.
    pub fn new(bytes: u64, remember: Duration, evictions: IntCounter) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from((bytes / TYPICAL).clamp(16, 1 << 20)).unwrap_or(16))
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are set");
        let lifecycle = CountEvictions(evictions);
        Self {
            entries: Entries::with_options(options, Weight, DefaultHashBuilder::default(), lifecycle),
            floors: Mutex::new(Floors::new(remember)),
        }
    }

    /// The entry of a key, fresh or not.
    pub fn get(&self, key: &str) -> Option<Arc<Entry<V>>> {
        self.entries.get(key)
    }

    /// Weight of all entries, in bytes.
    pub fn weight(&self) -> u64 {
        self.entries.weight()
    }

    /// What is known about a key now.
    pub fn stamp(&self, key: &str) -> Stamp {
        self.floors.lock().stamp(key)
    }

    /// Stores an entry that was read or loaded since `stamp`; without one it only notes its version. False if the key was invalidated since then, or a newer
    /// version is known.
    pub fn insert(&self, key: &Arc<str>, entry: Arc<Entry<V>>, stamp: Option<Stamp>) -> bool {
        let mut floors = self.floors.lock();
        // Even if it isn't stored: the reader sees this version.
        let is_newest = floors.raise(key, entry.version);
        if !is_newest {
            return false;
        }
        if stamp.is_none_or(|stamp| !floors.stamp(key).is_same(stamp)) {
            if entry.version > 0 {
                // What is here may be older than what the reader sees.
                self.entries.remove::<str>(key);
            }
            return false;
        }
        // Within the lock: an invalidation comes either before it and is seen, or after it and removes the entry.
        self.entries.insert(Arc::clone(key), entry);
        true
    }

    /// Makes entries below a version old, or whatever there is if the version is unknown. With `is_unsent`, the
    /// invalidation hasn't reached Redis.
    pub fn invalidate(&self, key: &Arc<str>, version: Option<u64>, is_unsent: bool) {
        let mut floors = self.floors.lock();
        if floors.invalidate(key, version, is_unsent) {
            self.entries.remove::<str>(key);
        }
    }

    /// Redis has a tombstone of a key: what is in memory is old.
    pub fn bury(&self, key: &Arc<str>, version: u64) {
        let mut floors = self.floors.lock();
        floors.raise(key, version);
        self.entries.remove::<str>(key);
    }

    /// The invalidation of a key that hasn't reached Redis.
    pub fn unsent(&self, key: &str) -> Option<Unsent> {
        self.floors.lock().unsent(key)
    }

    /// All keys whose invalidation hasn't reached Redis.
    pub fn all_unsent(&self) -> Vec<Arc<str>> {
        self.floors.lock().all_unsent()
    }

    /// An invalidation has reached Redis.
    pub fn sent(&self, key: &str, sent: Unsent) {
        self.floors.lock().sent(key, sent);
    }

    /// Removes all entries, and refuses those that are being loaded. Floors stay.
    pub fn flush(&self) {
        let mut floors = self.floors.lock();
        floors.flush();
        self.entries.clear();
    }
}

#[derive(Clone)]
struct Weight;

impl<V: Value> Weighter<Arc<str>, Arc<Entry<V>>> for Weight {
    fn weight(&self, key: &Arc<str>, entry: &Arc<Entry<V>>) -> u64 {
        (OVERHEAD + key.len() + entry.value.as_ref().map_or(0, Value::weight)) as u64
    }
}

/// Counts entries that are removed because there is no room for them.
#[derive(Clone)]
struct CountEvictions(IntCounter);

impl<K, V> Lifecycle<K, V> for CountEvictions {
    type RequestState = <DefaultLifecycle<K, V> as Lifecycle<K, V>>::RequestState;

    fn begin_request(&self) -> Self::RequestState {
        DefaultLifecycle::<K, V>::default().begin_request()
    }

    fn on_evict(&self, state: &mut Self::RequestState, key: K, value: V) {
        self.0.inc();
        DefaultLifecycle::<K, V>::default().on_evict(state, key, value);
    }
}
