//! Access to the bucket that the fleet's services share for settings and flags.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, kv};
use flotilla_messaging::{
    BrokerError, Bucket, NatsSettings,
    broker::nats::{NatsBroker, connect},
};
use flotilla_service::remote::BUCKET;
use futures::TryStreamExt as _;
use tokio::time::Instant;

use crate::home::state::State;

/// How long the broker may take to respond.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a write may take: a bucket that refuses values may be recreated in that time.
const WRITING: Duration = Duration::from_secs(20);
/// How often to check for a bucket that doesn't exist yet.
const PAUSE: Duration = Duration::from_millis(50);

/// The open bucket.
pub struct SettingsBucket {
    store: kv::Store,
    writer: Bucket,
}

impl SettingsBucket {
    /// Opens the bucket of the running fleet. The services create it.
    ///
    /// # Errors
    /// When the broker doesn't answer, or there is no bucket.
    pub async fn open(state: &State) -> Result<Self> {
        let url = state.broker_url()?;
        let open = async {
            let client = connect(url).await.context("NATS doesn't respond: run `fleet status` to see why")?;
            let (jetstream, deadline) = (jetstream::new(client), Instant::now() + PATIENCE / 2);
            loop {
                match jetstream.get_key_value(BUCKET).await {
                    // After a loss, the services recreate it within moments.
                    Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                    opened => {
                        break opened.with_context(|| {
                            format!("there is no bucket {BUCKET}: is remote.nats_url set in any service?")
                        });
                    }
                }
            }
        };
        let store = tokio::time::timeout(PATIENCE, open).await.context("NATS doesn't respond in time")??;
        let nats = NatsSettings { url: url.to_owned(), ..NatsSettings::default() };
        let broker = NatsBroker::connect("fleet settings", &nats).await.context("invalid address of NATS")?;
        Ok(Self { store, writer: broker.bucket(BUCKET) })
    }

    /// The values below a prefix: their names without it, texts and revisions.
    ///
    /// # Errors
    /// When the broker doesn't answer.
    pub async fn entries(&self, prefix: &str) -> Result<BTreeMap<String, (String, u64)>> {
        let mut entries = BTreeMap::new();
        let mut keys = self.store.keys().await?;
        while let Some(key) = keys.try_next().await? {
            let Some(name) = key.strip_prefix(prefix) else { continue };
            if let Some(entry) = self.store.entry(&key).await?
                && is_set(&entry)
            {
                entries.insert(name.to_owned(), (String::from_utf8_lossy(&entry.value).into_owned(), entry.revision));
            }
        }
        Ok(entries)
    }

    /// Writes a value; returns its revision.
    ///
    /// # Errors
    /// When the broker doesn't take it.
    pub async fn set(&self, key: &str, value: String) -> Result<u64> {
        let deadline = Instant::now() + WRITING;
        loop {
            match self.write(key, &value).await {
                Ok(Some(revision)) => return Ok(revision),
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).with_context(|| format!("can't write {key}"));
                }
                // Another writer was faster, or the broker is unavailable for a moment.
                Ok(None) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn write(&self, key: &str, value: &str) -> Result<Option<u64>, BrokerError> {
        let bucket = self.writer.open().await?;
        let seen = bucket.get(key).await?.map_or(0, |kept| kept.revision);
        bucket.put(key, value.to_owned().into(), seen).await
    }

    /// Clears a value; returns the revision of the change, or `None` if there was no value.
    ///
    /// # Errors
    /// When the broker doesn't take it.
    pub async fn clear(&self, key: &str) -> Result<Option<u64>> {
        if !self.store.entry(key).await?.is_some_and(|entry| is_set(&entry)) {
            return Ok(None);
        }
        // An empty value means the same as a deletion, and has a revision to wait for.
        self.set(key, String::new()).await.map(Some)
    }
}

fn is_set(entry: &kv::Entry) -> bool {
    entry.operation == kv::Operation::Put && !entry.value.is_empty()
}
