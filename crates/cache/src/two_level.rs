//! The cache: memory, then Redis, then the caller's load.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flotilla_clock::Random;
use flotilla_config::HumanDuration;
use prometheus::Registry;
use tokio::time::Instant;

use crate::flights::{Flights, Landing, Turn, landed};
use crate::guarded::Guarded;
use crate::invalidation;
use crate::load::Load;
use crate::memory::{Entry, Memory};
use crate::metrics::{CacheMetrics, register_gauges};
use crate::names::Names;
use crate::policy::Policy;
use crate::random::number;
use crate::redis::Redis;
use crate::remote::SharedRemote;
use crate::settings::CacheSettings;
use crate::shared::Shared;
use crate::value::Value;

/// A cache of values by key in two levels. Cheap to clone.
pub struct TwoLevelCache<V: Value> {
    pub(crate) shared: Arc<Shared<V>>,
}

/// A cached value, or that there is none.
#[derive(Debug)]
pub struct Found<V> {
    pub(crate) entry: Arc<Entry<V>>,
    pub(crate) is_stale: bool,
}

/// The result of a look-up.
pub enum LookUp<V: Value> {
    /// It is cached.
    Hit(Found<V>),
    /// The caller must load it, and report the result.
    Load(Load<V>),
}

/// What a load returns.
#[derive(Debug, Clone)]
pub struct Loaded<V> {
    /// The value; `None` if there is none.
    pub value: Option<V>,
    /// Its version, which rises with each change of the key; 0 if unknown.
    pub version: u64,
}

/// The parts of a cache.
pub struct Parts {
    /// Name: the metrics' label, and the beginning of the keys in Redis.
    pub name: &'static str,
    /// Redis; without it there is only memory.
    pub remote: Option<SharedRemote>,
    /// Maximum wait for each response of Redis.
    pub command_timeout: HumanDuration,
    /// Times and sizes.
    pub policy: Policy,
    /// For tokens, jitter and early refreshes.
    pub random: Arc<dyn Random>,
}

impl<V: Value> TwoLevelCache<V> {
    /// Starts a cache on the settings' server, to which it connects in the background. `None` without a valid address.
    pub fn connect(
        name: &'static str,
        settings: &CacheSettings,
        policy: Policy,
        random: Arc<dyn Random>,
        registry: &Registry,
    ) -> Option<Self> {
        let url = settings.redis_url.as_ref()?;
        let Some(redis) = Redis::connect(name, url, settings.command_timeout.get()) else {
            tracing::error!(cache = name, "invalid redis address, nothing is cached");
            return None;
        };
        let remote = Some(Arc::new(redis) as SharedRemote);
        let parts = Parts { name, remote, command_timeout: settings.command_timeout, policy, random };
        Some(Self::start(parts, registry))
    }

    /// Starts a cache. It subscribes to invalidations for as long as it lives.
    pub fn start(parts: Parts, registry: &Registry) -> Self {
        let Parts { name, remote, command_timeout, policy, random } = parts;
        let metrics = CacheMetrics::register_or_count_separately(name, registry);
        let notices = remote.as_ref().map(|remote| remote.subscribe(&Names(name).channel()));
        let shared = Arc::new(Shared {
            names: Names(name),
            origin: number(random.as_ref()),
            memory: Memory::new(policy.memory, policy.longest(), metrics.evictions.clone()),
            flights: Flights::default(),
            remote: remote.map(|remote| Guarded::new(remote, command_timeout.get())),
            policy,
            random,
            metrics,
        });
        let (up, weighed) = (Arc::downgrade(&shared), Arc::downgrade(&shared));
        register_gauges(
            name,
            registry,
            move || up.upgrade().is_some_and(|cache| cache.is_up()),
            move || weighed.upgrade().map_or(0, |cache| cache.memory.weight()),
        );
        if let Some(notices) = notices {
            flotilla_telemetry::spawn(invalidation::follow(Arc::downgrade(&shared), notices));
        }
        Self { shared }
    }

    /// The value of a key, loaded by `load` if it isn't cached.
    ///
    /// # Errors
    /// The error of `load`, if there is no entry that may be served instead.
    pub async fn get<E, F>(&self, key: &str, load: impl FnOnce() -> F) -> Result<Found<V>, E>
    where
        F: Future<Output = Result<Loaded<V>, E>>,
    {
        match self.look_up(key).await {
            LookUp::Hit(found) => Ok(found),
            LookUp::Load(loading) => match load().await {
                Ok(loaded) => Ok(loading.complete(loaded).await),
                Err(error) => loading.fail().await.ok_or(error),
            },
        }
    }

    /// Looks a key up. If it isn't cached, waits for another reader's load for a bounded time.
    pub async fn look_up(&self, key: &str) -> LookUp<V> {
        let shared = &self.shared;
        let began = Instant::now();
        if let Some(entry) = shared.memory.get(key)
            && entry.in_memory_until > began
            && !shared.is_due(&entry, began)
        {
            shared.metrics.from_memory.inc();
            return shared.hit(entry);
        }
        let key: Arc<str> = key.into();
        if !shared.policy.is_enabled() {
            return shared.miss(Load::uncached(shared, key));
        }
        // The load that is waited for may itself wait for another process first.
        let until = began + shared.policy.wait + shared.policy.load_timeout;
        loop {
            let stamp = shared.memory.stamp(&key);
            // After the stamp: an invalidation before it has removed the entry.
            let fallback = shared.memory.get(&key);
            let receiver = match shared.flights.join(&key, stamp) {
                Turn::Lead(flight) => {
                    let load = Load::new(shared, key, stamp, fallback, Some(flight));
                    return load.lead(began + shared.policy.wait).await;
                }
                Turn::Follow(receiver) => receiver,
            };
            if let Some(entry) = fallback.as_ref().filter(|entry| entry.in_memory_until > Instant::now()) {
                // Another reader refreshes it early.
                shared.metrics.from_memory.inc();
                return shared.hit(Arc::clone(entry));
            }
            match tokio::time::timeout_at(until, landed(receiver)).await {
                Ok(Landing::Loaded(entry)) => {
                    shared.metrics.from_another_reader.inc();
                    return shared.hit(entry);
                }
                Ok(Landing::Void | Landing::Pending) => {}
                Ok(Landing::Failed(Some(entry))) => return shared.serve(entry),
                Ok(Landing::Failed(None)) => return shared.miss(Load::new(shared, key, stamp, None, None)),
                Err(_) => {
                    let fallback = shared.memory.get(&key);
                    return shared.miss(Load::new(shared, key, stamp, fallback, None));
                }
            }
        }
    }

    /// Makes cached values of a key old: those below `version`, or all if it is unknown. From now on no reader of this
    /// process gets one. True if it has reached Redis, where there is one; otherwise it is sent again as soon as Redis
    /// responds, and other processes may serve such values until they expire.
    pub async fn invalidate(&self, key: &str, version: Option<u64>) -> bool {
        let (shared, key) = (&self.shared, key.into());
        let version = version.filter(|version| *version > 0);
        shared.metrics.invalidated_here.inc();
        // First here, and marked as unsent, so that no reader takes an old value from Redis meanwhile.
        shared.memory.invalidate(&key, version, shared.remote.is_some());
        shared.send_invalidation(&key).await
    }

    /// Stores the value that was just written (write-through). Where its order among other writes is unknown, the key is
    /// invalidated instead, as by [`Self::invalidate`]: if Redis knows nothing of the key (it may have forgotten a newer
    /// value), if it doesn't respond, or without a version. True if the change has reached Redis.
    pub async fn put(&self, key: &str, loaded: Loaded<V>) -> bool {
        if loaded.version == 0 {
            return self.invalidate(key, None).await;
        }
        let (shared, key): (_, Arc<str>) = (&self.shared, key.into());
        let began = Instant::now();
        shared.memory.invalidate(&key, Some(loaded.version), shared.remote.is_some());
        let (stamp, unsent) = (shared.memory.stamp(&key), shared.memory.unsent(&key));
        let stored = shared.put(&key, &loaded).await;
        if let (true, Some(unsent)) = (stored.is_some(), unsent) {
            shared.memory.sent(&key, unsent);
        }
        if stored == Some(true) {
            let entry = shared.entry(loaded, began, began, Duration::ZERO);
            shared.memory.insert(&key, Arc::new(entry), Some(stamp));
        }
        stored.is_some()
    }

    /// Whether Redis is connected and responds.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.shared.is_up()
    }

    /// Closes the connection; the memory can still be used.
    pub async fn close(&self) {
        if let Some(remote) = &self.shared.remote {
            remote.remote().close().await;
        }
    }
}

impl<V: Value> Clone for TwoLevelCache<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<V: Value> std::fmt::Debug for TwoLevelCache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TwoLevelCache")
            .field("name", &self.shared.names.0)
            .field("up", &self.is_up())
            .finish_non_exhaustive()
    }
}
