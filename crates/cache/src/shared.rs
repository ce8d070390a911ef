//! What all handles of a cache share, and what is sent to Redis.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_clock::Random;
use tokio::time::Instant;

use crate::early;
use crate::flights::Flights;
use crate::guarded::Guarded;
use crate::invalidation::{self, Message};
use crate::load::Load;
use crate::memory::{Entry, Memory};
use crate::metrics::CacheMetrics;
use crate::names::Names;
use crate::policy::Policy;
use crate::record::{self, Kind};
use crate::scripts;
use crate::two_level::{Found, Loaded, LookUp};
use crate::value::Value;

pub(crate) struct Shared<V: Value> {
    pub(crate) names: Names,
    /// Distinguishes the messages of this process from those of others.
    pub(crate) origin: u64,
    pub(crate) memory: Memory<V>,
    pub(crate) flights: Flights<V>,
    pub(crate) remote: Option<Guarded>,
    pub(crate) policy: Policy,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) metrics: CacheMetrics,
}

impl<V: Value> Shared<V> {
    pub(crate) fn hit(&self, entry: Arc<Entry<V>>) -> LookUp<V> {
        self.metrics.hit.inc();
        LookUp::Hit(Found { entry, is_stale: false })
    }

    /// An entry although loading failed.
    pub(crate) fn serve(&self, entry: Arc<Entry<V>>) -> LookUp<V> {
        self.metrics.hit.inc();
        LookUp::Hit(self.fallen_back(entry))
    }

    /// An entry that is served because loading failed. It counts as stale even before it expires, once nobody has
    /// confirmed for a while that it is current.
    pub(crate) fn fallen_back(&self, entry: Arc<Entry<V>>) -> Found<V> {
        let is_stale = entry.in_memory_until <= Instant::now();
        if is_stale {
            self.metrics.stale.inc();
        }
        Found { entry, is_stale }
    }

    pub(crate) fn miss(&self, load: Load<V>) -> LookUp<V> {
        self.metrics.miss.inc();
        LookUp::Load(load)
    }

    /// Whether an entry is to be refreshed before it expires.
    pub(crate) fn is_due(&self, entry: &Entry<V>, now: Instant) -> bool {
        early::is_due(entry.fresh_until.saturating_duration_since(now), entry.load_time, self.random.as_ref())
    }

    /// An entry that was loaded from `began` on, and was current in Redis at `confirmed`.
    pub(crate) fn entry(&self, loaded: Loaded<V>, began: Instant, confirmed: Instant, load_time: Duration) -> Entry<V> {
        let (ttl, stale) = self.policy.lifetime(loaded.value.is_some(), self.random.as_ref());
        let fresh_until = began + ttl;
        Entry {
            value: loaded.value,
            version: loaded.version,
            in_memory_until: fresh_until.min(confirmed + self.policy.memory_ttl),
            fresh_until,
            usable_until: fresh_until + stale,
            load_time,
        }
    }

    pub(crate) fn flush(&self) {
        self.memory.flush();
        self.metrics.flushes.inc();
    }

    /// Sends the invalidation of a key, if it hasn't reached Redis. True if it has now.
    pub(crate) async fn send_invalidation(&self, key: &Arc<str>) -> bool {
        let (Some(remote), Some(unsent)) = (&self.remote, self.memory.unsent(key)) else { return true };
        let message = Message { origin: self.origin, version: unsent.version, key: Arc::clone(key) };
        let done = invalidation::send(remote, self.names, &message, self.policy.longest()).await;
        self.metrics.wrote(done);
        if done {
            self.memory.sent(key, unsent);
        }
        done
    }

    /// Whether Redis stored a written value; `None` if it doesn't respond.
    pub(crate) async fn put(&self, key: &Arc<str>, loaded: &Loaded<V>) -> Option<bool> {
        let Some(remote) = &self.remote else { return Some(true) };
        let (ttl, stale) = self.policy.lifetime(loaded.value.is_some(), self.random.as_ref());
        let message = Message { origin: self.origin, version: Some(loaded.version), key: Arc::clone(key) };
        let (kind, payload) = encoded(loaded.value.as_ref());
        let args = [
            kind.letter().into(),
            record::version(loaded.version),
            record::rest(Duration::ZERO, stale, &payload),
            record::ttl(ttl + stale),
            self.names.channel_argument(),
            message.encode(),
        ];
        let [entry, lease] = self.names.keys(key);
        let reply = remote.run(&scripts::PUT, &[&entry, &lease], &args).await;
        self.metrics.wrote(reply.is_some());
        reply.map(|reply| reply.first().is_some_and(|said| said.as_ref() == b"stored"))
    }

    pub(crate) fn is_up(&self) -> bool {
        self.remote.as_ref().is_some_and(Guarded::is_up)
    }
}

/// The kind and payload of a value in Redis.
pub(crate) fn encoded<V: Value>(value: Option<&V>) -> (Kind, Bytes) {
    value.map_or((Kind::Nothing, Bytes::new()), |value| (Kind::Value, value.encode()))
}
