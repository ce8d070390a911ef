//! What a load asks Redis, and what it tells it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Load;
use crate::guarded::Guarded;
use crate::memory::Entry;
use crate::record::{self, Kind, Record};
use crate::scripts;
use crate::shared::encoded;
use crate::value::Value;

/// What became of an entry in Redis.
pub(super) enum Stored {
    /// It is stored, with this version.
    With(u64),
    /// A newer one is known, or the key was invalidated.
    Refused,
    /// Redis doesn't know about this load.
    Unknown,
}

/// What Redis has, and whether it gave the lease.
pub(super) struct Fetched<V> {
    pub(super) entry: Option<Entry<V>>,
    /// Whether there is an entry that can't be used, although it isn't a tombstone.
    pub(super) is_old: bool,
    pub(super) is_tombstone: bool,
    pub(super) has_lease: bool,
}

impl<V: Value> Load<V> {
    /// Asks Redis for the entry and the lease. `None` if it doesn't respond.
    pub(super) async fn fetch(&self, remote: &Guarded, insists: bool, asked: Instant) -> Option<Fetched<V>> {
        let [entry, lease] = self.shared.names.keys(&self.key);
        let insists = Bytes::from_static(if insists { b"1" } else { b"0" });
        let args = [self.token.clone(), record::ttl(self.shared.policy.load_timeout), insists];
        let reply = remote.run(&scripts::FETCH, &[&entry, &lease], &args).await?;
        let [raw, left, lease] = reply.as_slice() else { return None };
        let left = std::str::from_utf8(left).ok().and_then(|left| left.parse().ok()).unwrap_or_default();
        let record = Record::parse(raw);
        let is_tombstone = record.as_ref().is_some_and(|record| record.kind == Kind::Tombstone);
        let entry = record.and_then(|record| self.accept(record, asked, Duration::from_millis(left)));
        let is_old = !raw.is_empty() && !is_tombstone && entry.is_none();
        Some(Fetched { entry, is_old, is_tombstone, has_lease: lease.as_ref() == b"1" })
    }

    /// The entry of a record, if it isn't old.
    fn accept(&self, record: Record, asked: Instant, left: Duration) -> Option<Entry<V>> {
        let memory = &self.shared.memory;
        let value = match record.kind {
            Kind::Tombstone => {
                memory.bury(&self.key, record.version);
                return None;
            }
            Kind::Value => Some(V::decode(record.payload)?),
            Kind::Nothing => None,
        };
        if record.version != 0 && record.version < memory.stamp(&self.key).version {
            return None;
        }
        // From the moment of asking: the response may have been under way for a while.
        let usable_until = asked + left;
        let fresh_until = asked + left.saturating_sub(record.stale);
        Some(Entry {
            value,
            version: record.version,
            in_memory_until: fresh_until.min(asked + self.shared.policy.memory_ttl),
            fresh_until,
            usable_until,
            load_time: record.load_time,
        })
    }

    pub(super) async fn store(&mut self, entry: &Entry<V>) -> Stored {
        let now = Instant::now();
        let Some(remote) = self.shared.remote.as_ref().filter(|_| entry.fresh_until > now) else {
            return Stored::Unknown;
        };
        let (kind, payload) = encoded(entry.value.as_ref());
        let args = [
            self.token.clone(),
            kind.letter().into(),
            record::version(entry.version),
            record::rest(entry.load_time, entry.usable_until - entry.fresh_until, &payload),
            record::ttl(entry.usable_until - now),
        ];
        let [entry, lease] = self.shared.names.keys(&self.key);
        let reply = remote.run(&scripts::STORE, &[&entry, &lease], &args).await;
        self.shared.metrics.wrote(reply.is_some());
        // The script has deleted the lease; if Redis doesn't respond it expires.
        self.has_lease = false;
        match reply.as_deref() {
            None => Stored::Unknown,
            Some([said, version]) if said.as_ref() == b"stored" => {
                Stored::With(std::str::from_utf8(version).ok().and_then(|version| version.parse().ok()).unwrap_or(0))
            }
            Some(_) => Stored::Refused,
        }
    }

    /// Gives the lease back, so that nobody waits for it.
    pub(super) fn release(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let has_lease = std::mem::take(&mut self.has_lease);
        let (shared, token) = (Arc::clone(&self.shared), self.token.clone());
        let [_, lease] = shared.names.keys(&self.key);
        has_lease.then_some(async move {
            if let Some(remote) = &shared.remote {
                // Without a response it expires.
                let _ = remote.run(&scripts::RELEASE, &[&lease], &[token]).await;
            }
        })
    }
}
