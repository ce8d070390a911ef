//! The first level: entries in memory, bounded by weight, and what is known about the versions of their keys.
//!
//! A *floor* is what this process knows about a key: the highest version seen and how often the key was invalidated. It
//! outlives the entry, so that an old value in Redis, or one of a slow loader, is recognised. Floors are kept for as
//! long as such a value can exist, and at most [`MAX_FLOORS`] of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;
use quick_cache::sync::{Cache as Entries, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use tokio::time::Instant;

use crate::floors::Floors;
use crate::value::Value;

pub use crate::floors::{MAX_FLOORS, Stamp};

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
    /// How often it was emptied, so that a hit needs no lock to see it.
    flushes: AtomicU64,
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
            flushes: AtomicU64::new(0),
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

    /// Whether nothing more is known about a key than at `stamp`.
    pub fn is_unchanged(&self, key: &str, stamp: Stamp) -> bool {
        self.floors.lock().stamp(key).is_same(stamp)
    }

    /// Stores an entry that was read or loaded since `stamp`. False if the key was invalidated since then, or a newer
    /// version is known.
    pub fn insert(&self, key: &Arc<str>, entry: Arc<Entry<V>>, stamp: Stamp) -> bool {
        let mut floors = self.floors.lock();
        if !floors.stamp(key).is_same(stamp) || !floors.raise(key, entry.version) {
            return false;
        }
        // Within the lock: an invalidation comes either before it and is seen, or after it and removes the entry.
        self.entries.insert(Arc::clone(key), entry);
        true
    }

    /// Makes entries below a version old, or whatever there is if the version is unknown. With `unsent`, Redis must
    /// still be told. Returns the new generation of the key.
    pub fn invalidate(&self, key: &Arc<str>, version: Option<u64>, unsent: bool) -> u64 {
        let mut floors = self.floors.lock();
        let (generation, is_new) = floors.invalidate(key, version, unsent);
        if is_new {
            self.entries.remove(key.as_ref() as &str);
        }
        generation
    }

    /// The invalidation of a key that Redis must still be told: its version, and its generation for [`Self::sent`].
    pub fn unsent(&self, key: &str) -> Option<(u64, u64)> {
        self.floors.lock().unsent(key)
    }

    /// All keys of which Redis must still be told.
    pub fn all_unsent(&self) -> Vec<Arc<str>> {
        self.floors.lock().all_unsent()
    }

    /// Redis was told of the invalidation with this generation.
    pub fn sent(&self, key: &str, generation: u64) {
        self.floors.lock().sent(key, generation);
    }

    /// Removes all entries, and refuses those that are being loaded. Floors stay.
    pub fn flush(&self) {
        let mut floors = self.floors.lock();
        floors.flush();
        self.entries.clear();
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often all entries were removed.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
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
