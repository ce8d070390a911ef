//! A JetStream key-value bucket: the latest value of each key, visible to all replicas of a service.
//!
//! A bucket's content is derived: its service can refill it from its database at any time. So a missing bucket is
//! recreated, and one that has lost its newest values is deleted. A value is written only over the revision that its
//! writer saw. A recreated bucket has another [`created`](OpenBucket::created); revisions are comparable only within
//! the same one.

mod refusal;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{self, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::stream;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::info;

use self::refusal::Refusal;
use super::{NatsBroker, unavailable};
use crate::error::BrokerError;

/// Maximum size of a value.
const MAX_VALUE: i32 = 64 * 1_024;
/// All keys. Watched with history, because a plain watch begins with the next write.
const ALL: &str = ">";
/// Maximum wait for the next value while a watch has not delivered all current values yet.
const WATCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket by name.
#[derive(Clone)]
pub struct Bucket {
    broker: NatsBroker,
    name: &'static str,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

/// The entry of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEntry {
    /// The key.
    pub key: String,
    /// The value; `None` if it was deleted.
    pub value: Option<Bytes>,
    /// The revision: the number of the write.
    pub revision: u64,
}

impl NatsBroker {
    /// A bucket by name; it is opened later.
    #[must_use]
    pub fn bucket(&self, name: &'static str) -> Bucket {
        Bucket::new(self.clone(), name)
    }
}

impl Bucket {
    pub(crate) fn new(broker: NatsBroker, name: &'static str) -> Self {
        Self { broker, name, refusal: Arc::default() }
    }

    /// Opens the bucket; creates it if it doesn't exist.
    ///
    /// # Errors
    /// The broker is unavailable or refuses.
    pub async fn open(&self) -> Result<OpenBucket, BrokerError> {
        self.broker.usable()?;
        let jetstream = &self.broker.shared.jetstream;
        // Read first, so that a connection lost from here on is noticed.
        let connects = self.connects();
        let store = if self.broker.info(&self.stream()).await?.is_some() {
            self.broker.within("bucket", jetstream.get_key_value(self.name)).await?.map_err(unavailable)?
        } else {
            info!(bucket = self.name, "bucket created");
            self.broker
                .within("bucket creation", jetstream.create_key_value(self.config()))
                .await?
                .map_err(unavailable)?
        };
        let info = self.broker.info(&self.stream()).await?;
        let info = info.ok_or_else(|| BrokerError::NoStream(self.stream()))?;
        let mark = super::state(&info).mark;
        Ok(OpenBucket { bucket: self.clone(), store, connects, created: mark.created, last: mark.sequence })
    }

    fn config(&self) -> kv::Config {
        kv::Config {
            bucket: self.name.to_owned(),
            history: 1,
            max_value_size: MAX_VALUE,
            storage: stream::StorageType::File,
            num_replicas: self.broker.shared.settings.stream_replicas,
            ..kv::Config::default()
        }
    }

    /// The stream in which JetStream keeps the bucket.
    fn stream(&self) -> String {
        format!("KV_{}", self.name)
    }

    /// How often the client has connected.
    fn connects(&self) -> u64 {
        self.broker.shared.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// An open bucket. Cheap to clone.
#[derive(Clone)]
pub struct OpenBucket {
    bucket: Bucket,
    store: Store,
    connects: u64,
    /// When the bucket was created, in nanoseconds since 1970; distinguishes it from an earlier one of the same name.
    pub created: i64,
    /// The last revision when the bucket was opened.
    pub last: u64,
}

impl OpenBucket {
    /// The value under a key.
    ///
    /// # Errors
    /// The broker is unavailable.
    pub async fn get(&self, key: &str) -> Result<Option<BucketEntry>, BrokerError> {
        let entry = self.bucket.broker.within("bucket read", self.store.entry(key)).await?.map_err(unavailable)?;
        Ok(entry.map(kept))
    }

    /// Writes a value over the revision that the writer saw (0 if there was none); returns the new revision, or `None`
    /// if another writer was faster. A bucket that refuses values while its broker can write is deleted.
    ///
    /// # Errors
    /// The broker is unavailable. The value may have been written.
    pub async fn put(&self, key: &str, value: Bytes, seen: u64) -> Result<Option<u64>, BrokerError> {
        self.bucket.broker.connected()?;
        match self.bucket.broker.within("bucket write", self.store.update(key, value, seen)).await {
            Ok(Ok(revision)) => Ok(Some(revision)),
            Ok(Err(error)) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Ok(Err(error)) => Err(self.refused(unavailable(error)).await),
            Err(late) => Err(self.refused(late).await),
        }
    }

    /// Watches the bucket: all values, then each change.
    ///
    /// # Errors
    /// The broker is unavailable.
    pub async fn watch(&self) -> Result<BucketWatch, BrokerError> {
        let watch = self.bucket.broker.within("bucket watch", self.store.watch_with_history(ALL)).await?;
        let is_empty = self.info().await?.is_some_and(|info| info.state.messages == 0);
        Ok(BucketWatch {
            watch: watch.map_err(unavailable)?,
            is_current: is_empty,
            deadline: Instant::now() + WATCH_TIMEOUT,
        })
    }

    /// Whether this is still the same bucket over the same connection. A watch that outlives its connection may have
    /// missed what a restarted broker lost and wrote again.
    ///
    /// # Errors
    /// The broker is unavailable.
    pub async fn is_same(&self) -> Result<bool, BrokerError> {
        let info = self.info().await?;
        let same = info.is_some_and(|info| super::state(&info).mark.created == self.created);
        Ok(same && self.bucket.connects() == self.connects)
    }

    /// Deletes the bucket, because it is known to have lost values.
    ///
    /// # Errors
    /// The broker is unavailable.
    pub async fn delete(&self) -> Result<(), BrokerError> {
        let jetstream = &self.bucket.broker.shared.jetstream;
        let deleted =
            self.bucket.broker.within("bucket deletion", jetstream.delete_key_value(self.bucket.name)).await?;
        deleted.map(|_| ()).map_err(unavailable)
    }

    async fn info(&self) -> Result<Option<stream::Info>, BrokerError> {
        self.bucket.broker.info(&self.bucket.stream()).await
    }
}

/// A bucket being watched.
pub struct BucketWatch {
    watch: kv::Watch,
    is_current: bool,
    /// Deadline for the next current value.
    deadline: Instant,
}

impl BucketWatch {
    /// The next value. Never ends by itself while the broker is unavailable.
    ///
    /// # Errors
    /// The watch was interrupted.
    pub async fn next(&mut self) -> Result<BucketEntry, BrokerError> {
        let next = async { self.watch.next().await };
        let next = if self.is_current {
            next.await
        } else {
            let late = |_| BrokerError::Unavailable("the watch of the bucket timed out".to_owned());
            tokio::time::timeout_at(self.deadline, next).await.map_err(late)?
        };
        let entry = next.ok_or_else(|| BrokerError::ConsumerGone("the watch ended".to_owned()))?;
        let entry = entry.map_err(|error| BrokerError::ConsumerGone(error.to_string()))?;
        self.is_current |= entry.seen_current;
        self.deadline = Instant::now() + WATCH_TIMEOUT;
        Ok(kept(entry))
    }

    /// Whether all values that existed when the watch began have been delivered.
    pub fn is_current(&self) -> bool {
        self.is_current
    }
}

fn kept(entry: kv::Entry) -> BucketEntry {
    let value = (entry.operation == Operation::Put).then_some(entry.value);
    BucketEntry { key: entry.key, value, revision: entry.revision }
}
