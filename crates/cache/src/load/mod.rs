//! A load: who may do it, and what becomes of its result.

mod remote;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use self::remote::Stored;
use crate::flights::{Flight, Landing};
use crate::memory::{Entry, Stamp};
use crate::random::number;
use crate::shared::Shared;
use crate::two_level::{Found, Loaded, LookUp};
use crate::value::Value;

/// Pause between two checks for the result of another process; doubled each time up to [`MAX_POLL`].
const POLL: Duration = Duration::from_millis(5);
const MAX_POLL: Duration = Duration::from_millis(50);

/// The caller's duty to load a key. Other readers wait for it; if it is dropped, one of them loads.
pub struct Load<V: Value> {
    shared: Arc<Shared<V>>,
    key: Arc<str>,
    /// What was known about the key when the load began.
    stamp: Stamp,
    began: Instant,
    /// What is served if the load fails.
    fallback: Option<Arc<Entry<V>>>,
    flight: Option<Flight<V>>,
    token: Bytes,
    has_lease: bool,
    is_cached: bool,
}

impl<V: Value> Load<V> {
    pub(crate) fn new(
        shared: &Arc<Shared<V>>,
        key: Arc<str>,
        stamp: Stamp,
        fallback: Option<Arc<Entry<V>>>,
        flight: Option<Flight<V>>,
    ) -> Self {
        let token = format!("{:016x}{:016x}", shared.origin, number(shared.random.as_ref())).into();
        let (shared, began) = (Arc::clone(shared), Instant::now());
        Self { shared, key, stamp, began, fallback, flight, token, has_lease: false, is_cached: true }
    }

    /// A load whose result isn't cached.
    pub(crate) fn uncached(shared: &Arc<Shared<V>>, key: Arc<str>) -> Self {
        let stamp = shared.memory.stamp(&key);
        let mut load = Self::new(shared, key, stamp, None, None);
        load.is_cached = false;
        load
    }

    /// Reads the key from Redis. If it must be loaded, takes the lease, or waits for its holder, at most until `until`.
    pub(crate) async fn lead(mut self, until: Instant) -> LookUp<V> {
        let shared = Arc::clone(&self.shared);
        let Some(remote) = &shared.remote else { return shared.miss(self.begin()) };
        if shared.memory.unsent(&self.key).is_some() && !shared.send_invalidation(&self.key).await {
            // What Redis has may be old.
            return self.without_redis();
        }
        let mut pause = POLL;
        // An entry in memory that is fresh is refreshed early.
        let mut insists = self.fallback.as_ref().is_some_and(|entry| entry.in_memory_until > self.began);
        loop {
            let asked = Instant::now();
            let Some(fetched) = self.fetch(remote, insists, asked).await else { return self.without_redis() };
            self.has_lease = fetched.has_lease;
            if fetched.is_tombstone {
                self.fallback = None;
            }
            if let Some(entry) = fetched.entry.map(Arc::new) {
                let is_fresh = entry.fresh_until > asked;
                if is_fresh && !self.has_lease && (insists || !shared.is_due(&entry, asked)) {
                    return self.found(entry);
                }
                self.fallback = Some(entry);
                if is_fresh && !self.has_lease {
                    insists = true;
                    continue;
                }
            }
            if self.has_lease {
                return shared.miss(self.begin());
            }
            if let Some(entry) = self.fallback.take_if(|entry| insists && entry.in_memory_until > asked) {
                // Another process refreshes it early.
                return self.found(entry);
            }
            // Redis gives no lease while it has an entry that it takes for fresh: the next request insists on one.
            if fetched.is_old && !insists {
                insists = true;
                continue;
            }
            insists = fetched.is_old;
            let now = Instant::now();
            if now >= until {
                return shared.miss(self.begin());
            }
            tokio::time::sleep(pause.min(until - now)).await;
            pause = (pause * 2).min(MAX_POLL);
        }
    }

    /// Stores the result of the load, unless the key changed meanwhile, and returns it.
    pub async fn complete(mut self, loaded: Loaded<V>) -> Found<V> {
        let shared = Arc::clone(&self.shared);
        let load_time = self.began.elapsed();
        shared.metrics.loaded(load_time);
        let confirmed = Instant::now();
        let is_late = load_time > shared.policy.load_timeout;
        let mut entry = shared.entry(loaded, self.began, confirmed, load_time);
        if !self.is_cached {
            return Found::fresh(Arc::new(entry));
        }
        let stored = if self.has_lease && !is_late { self.store(&entry).await } else { Stored::Unknown };
        match stored {
            Stored::With(version) => entry.version = version,
            Stored::Unknown => {
                // Nobody has confirmed that it is current at its end, so its time in memory counts from its beginning.
                entry.in_memory_until = entry.in_memory_until.min(self.began + shared.policy.memory_ttl);
            }
            Stored::Refused => {}
        }
        let entry = Arc::new(entry);
        let is_refused = is_late || matches!(stored, Stored::Refused);
        let stamp = if is_refused { None } else { Some(self.stamp) };
        let is_current = shared.memory.insert(&self.key, Arc::clone(&entry), stamp);
        let landing = if is_current { Landing::Loaded(Arc::clone(&entry)) } else { Landing::Void };
        if is_current {
            shared.metrics.load_stored.inc();
        } else {
            shared.metrics.load_outdated.inc();
        }
        if let Some(flight) = self.flight.take() {
            flight.land(landing);
        }
        Found::fresh(entry)
    }

    /// The load failed. Returns an older entry if there is one that may still be served.
    pub async fn fail(mut self) -> Option<Found<V>> {
        self.shared.metrics.load_failed.inc();
        let usable = self.usable_fallback();
        if let Some(flight) = self.flight.take() {
            flight.land(Landing::Failed(usable.clone()));
        }
        if let Some(releasing) = self.release() {
            releasing.await;
        }
        usable.map(|entry| self.shared.fallen_back(entry))
    }

    /// The source has answered, but not with what can be cached. Whoever waits for it loads too.
    pub async fn give_up(mut self) {
        self.shared.metrics.load_failed.inc();
        if let Some(flight) = self.flight.take() {
            flight.land(Landing::Failed(None));
        }
        if let Some(releasing) = self.release() {
            releasing.await;
        }
    }

    /// The entry that may be served if the load fails: usable, and not invalidated since the load began.
    fn usable_fallback(&mut self) -> Option<Arc<Entry<V>>> {
        let (entry, now) = (self.fallback.take()?, Instant::now());
        let known = self.shared.memory.stamp(&self.key);
        let is_current = known.is_same(self.stamp) && (entry.version == 0 || entry.version >= known.version);
        (is_current && entry.usable_until > now).then_some(entry)
    }

    /// The load begins now.
    fn begin(mut self) -> Self {
        self.began = Instant::now();
        self
    }

    fn without_redis(self) -> LookUp<V> {
        self.shared.metrics.error.inc();
        LookUp::Load(self.begin())
    }

    /// An entry that needn't be loaded.
    fn found(mut self, entry: Arc<Entry<V>>) -> LookUp<V> {
        let is_current = self.shared.memory.insert(&self.key, Arc::clone(&entry), Some(self.stamp));
        if let (true, Some(flight)) = (is_current, self.flight.take()) {
            flight.land(Landing::Loaded(Arc::clone(&entry)));
        }
        self.shared.metrics.from_redis.inc();
        self.shared.hit(entry)
    }
}

impl<V: Value> Drop for Load<V> {
    fn drop(&mut self) {
        if let (Some(releasing), Ok(runtime)) = (self.release(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(releasing);
        }
    }
}

impl<V> Found<V> {
    fn fresh(entry: Arc<Entry<V>>) -> Self {
        Self { entry, is_stale: false }
    }

    /// The value; `None` if there is none.
    pub fn value(&self) -> Option<&V> {
        self.entry.value.as_ref()
    }

    /// Its version; 0 if unknown.
    pub fn version(&self) -> u64 {
        self.entry.version
    }

    /// Whether it was served because loading failed, although it has expired or its time in memory is over.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }
}

impl<V: Value> std::fmt::Debug for Load<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load").field("has_lease", &self.has_lease).finish_non_exhaustive()
    }
}
