//! A snapshot of the bucket: every key's latest value, and what must be restored in a bucket that lost values.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_config::RemoteLayer;
use flotilla_flags::Published;
use flotilla_messaging::BucketEntry;

use super::{ALL, BUCKET, CONFIG, FLAGS};

/// Maximum number of keys; further ones are ignored.
const MAX_KEYS: usize = 1_024;
/// Marks a recreated bucket whose predecessor's values were written back, so that followers with an older copy add
/// nothing.
pub(super) const RESTORED: &str = "meta.restored";

/// The latest value of a key. An empty one, like none, means that the key is cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub value: Option<Bytes>,
    pub revision: u64,
}

/// All keys of one bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// When the bucket was created; 0 if none has been seen.
    pub created: i64,
    pub entries: BTreeMap<String, Entry>,
}

/// A value that a bucket has lost, to be written over its current revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LostValue {
    pub key: String,
    pub value: Bytes,
    pub over: u64,
}

impl Snapshot {
    /// Adds a restored value, unless a later one of its key has been observed meanwhile.
    pub fn add_restored(&mut self, kept: BucketEntry) {
        if self.entries.get(&kept.key).is_none_or(|entry| entry.revision < kept.revision) {
            self.observe(kept);
        }
    }

    /// Adds a value.
    pub fn observe(&mut self, kept: BucketEntry) {
        if self.entries.len() >= MAX_KEYS && !self.entries.contains_key(&kept.key) {
            tracing::warn!(key = kept.key, "remote settings have too many keys, ignoring this one");
            return;
        }
        self.entries.insert(kept.key, Entry { value: kept.value, revision: kept.revision });
    }

    /// The last revision that is known.
    pub fn revision(&self) -> u64 {
        self.entries.values().map(|entry| entry.revision).max().unwrap_or(0)
    }

    /// What a bucket has lost, as far as this snapshot shows: the newest values of the same bucket, or all of an
    /// earlier one, unless another follower has written them back already. `last` is the bucket's last revision.
    pub fn lost(&self, found: &Self, last: u64) -> Vec<LostValue> {
        if self.created == 0 {
            return Vec::new();
        }
        let same = self.created == found.created;
        if !same && found.entries.contains_key(RESTORED) {
            return Vec::new();
        }
        let is_lost = |key: &str, entry: &Entry| {
            if same { entry.revision > last } else { !found.entries.contains_key(key) }
        };
        let over = |key: &str| found.entries.get(key).map_or(0, |entry| entry.revision);
        let mut lost: Vec<LostValue> = self
            .entries
            .iter()
            .filter(|(key, entry)| *key != RESTORED && is_lost(key, entry))
            .map(|(key, entry)| LostValue {
                key: key.clone(),
                value: entry.value.clone().unwrap_or_default(),
                over: over(key),
            })
            .collect();
        if !same {
            // Last: if this follower fails before, others restore the rest.
            lost.push(LostValue { key: RESTORED.to_owned(), value: Bytes::from_static(b"1"), over: 0 });
        }
        lost
    }

    /// The settings of a service.
    pub fn layer(&self, service: &str) -> RemoteLayer {
        let own = format!("{CONFIG}{service}.");
        let all = format!("{CONFIG}{ALL}.");
        let mut layer = RemoteLayer::new(format!("NATS bucket {BUCKET}"));
        for prefix in [&all, &own] {
            for (setting, value) in self.below(prefix) {
                layer = layer.with(setting, value);
            }
        }
        layer
    }

    /// The definitions of flags.
    pub fn flags(&self, connected: bool) -> Published {
        let flags = self.below(FLAGS).map(|(flag, value)| (flag.to_owned(), value.to_owned())).collect();
        Published { ready: self.created != 0, connected, version: self.revision(), flags }
    }

    /// Keys with this prefix, without it, that have a text.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.entries.iter().filter_map(move |(key, entry)| {
            let value = entry.value.as_ref().filter(|value| !value.is_empty())?;
            Some((key.strip_prefix(prefix)?, std::str::from_utf8(value).ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(created: i64, entries: &[(&str, &str, u64)]) -> Snapshot {
        let entry = |(key, value, revision): &(&str, &str, u64)| {
            ((*key).to_owned(), Entry { value: Some(Bytes::copy_from_slice(value.as_bytes())), revision: *revision })
        };
        Snapshot { created, entries: entries.iter().map(entry).collect() }
    }

    fn values(lost: &[LostValue]) -> Vec<(&str, &[u8], u64)> {
        lost.iter().map(|lost| (lost.key.as_str(), lost.value.as_ref(), lost.over)).collect()
    }

    #[test]
    fn a_services_own_setting_takes_precedence_over_that_for_all() {
        let snapshot = snapshot(
            1,
            &[
                ("config.all.saga.tick", "1s", 1),
                ("config.orders.saga.tick", "2s", 2),
                ("config.all.grpc.max_calls", "9", 3),
                ("config.payments.saga.tick", "3s", 4),
                ("config.orders.saga.batch", "", 5),
                ("flags.accept-orders", "{}", 6),
            ],
        );
        let layer = snapshot.layer("orders");
        let values: Vec<_> = layer.values().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(values, [("grpc.max_calls", "9"), ("saga.tick", "2s")]);
        let flags = snapshot.flags(true);
        assert_eq!((flags.ready, flags.version, flags.flags.len()), (true, 6, 1));
    }

    #[test]
    fn everything_is_restored_in_a_recreated_bucket_which_is_then_marked() {
        let known = snapshot(1, &[("flags.a", "A", 7), ("flags.b", "B", 9)]);
        let lost = known.lost(&snapshot(2, &[("flags.b", "new", 1)]), 1);
        assert_eq!(values(&lost), [("flags.a", &b"A"[..], 0), (RESTORED, b"1", 0)]);
    }

    #[test]
    fn a_copy_older_than_the_restoration_restores_nothing() {
        let known = snapshot(1, &[("flags.a", "A", 7)]);
        assert_eq!(known.lost(&snapshot(2, &[(RESTORED, "1", 1)]), 1), []);
        assert_eq!(Snapshot::default().lost(&snapshot(2, &[]), 0), [], "an empty snapshot marks nothing");
    }

    #[test]
    fn a_restored_value_replaces_no_later_one() {
        let mut known = snapshot(1, &[("flags.a", "A2", 9)]);
        let kept = |value, revision| BucketEntry { key: "flags.a".to_owned(), value: Some(value), revision };
        known.add_restored(kept(Bytes::from_static(b"A1"), 8));
        assert_eq!(known, snapshot(1, &[("flags.a", "A2", 9)]));
        known.add_restored(kept(Bytes::from_static(b"A3"), 10));
        assert_eq!(known, snapshot(1, &[("flags.a", "A3", 10)]));
    }

    #[test]
    fn the_newest_values_are_restored_in_a_bucket_that_lost_them() {
        let known = snapshot(1, &[("flags.a", "A2", 9), ("flags.b", "B", 3), ("flags.c", "", 8)]);
        let found = snapshot(1, &[("flags.a", "A1", 2), ("flags.b", "B", 3)]);
        assert_eq!(values(&known.lost(&found, 4)), [("flags.a", &b"A2"[..], 2), ("flags.c", b"", 0)]);
        assert_eq!(known.lost(&known, 9), [], "nothing is lost");
    }
}
