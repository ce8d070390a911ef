//! The follower of the bucket, and the handle to read its values.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use flotilla_clock::{Backoff, OsRandom};
use flotilla_config::RemoteLayer;
use flotilla_flags::Published;
use flotilla_messaging::broker::nats::NatsBroker;
use flotilla_messaging::{
    BrokerError, BucketEntry, BucketFollower, BucketObserver, FollowError, NatsSettings, OpenBucket,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::snapshot::{LostValue, Snapshot};
use super::{BUCKET, RemoteSettings};

/// Interval of the check that the bucket is still the same, over the same connection.
const CHECK: Duration = Duration::from_secs(2);
/// Pause after a failure; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The content of the bucket, to read and to follow. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Remote {
    layer: watch::Receiver<RemoteLayer>,
    flags: watch::Receiver<Arc<Published>>,
}

impl Remote {
    /// The handle, and its follower, which the caller must run. Connects in the background.
    ///
    /// # Errors
    /// The address is invalid.
    pub async fn follow(service: &str, settings: &RemoteSettings) -> anyhow::Result<(Self, RemoteFollower)> {
        let nats = NatsSettings { url: settings.nats_url.clone(), ..NatsSettings::default() };
        let broker = NatsBroker::connect(&format!("{service} settings"), &nats).await.context("remote.nats_url")?;
        let known = Snapshot::default();
        let (layer, layers) = watch::channel(known.layer(service));
        let (flags, published) = watch::channel(Arc::new(known.flags(false)));
        let state = Mutex::new(State { known, reading: None });
        let observer = RemoteObserver { service: service.to_owned(), state, layer, flags };
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let follower = BucketFollower::new(broker.bucket(BUCKET), observer, CHECK, backoff, Arc::new(OsRandom));
        Ok((Self { layer: layers, flags: published }, RemoteFollower(follower)))
    }

    /// Waits until the bucket has been read, for at most `patience`. Returns whether it was.
    pub async fn is_read_within(&self, patience: Duration) -> bool {
        let mut flags = self.flags.clone();
        let read = flags.wait_for(|published| published.ready);
        matches!(tokio::time::timeout(patience, read).await, Ok(Ok(_)))
    }

    /// The remote layer of the service's settings.
    #[must_use]
    pub fn layer(&self) -> RemoteLayer {
        self.layer.borrow().clone()
    }

    /// Each change of the layer from now on.
    #[must_use]
    pub fn layers(&self) -> watch::Receiver<RemoteLayer> {
        let mut layers = self.layer.clone();
        layers.mark_unchanged();
        layers
    }

    /// The definitions of flags, and each change of them.
    #[must_use]
    pub fn flags(&self) -> watch::Receiver<Arc<Published>> {
        self.flags.clone()
    }
}

/// Follows the bucket.
pub struct RemoteFollower(BucketFollower<RemoteObserver>);

impl RemoteFollower {
    /// Runs until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        self.0.run(shutdown).await;
    }
}

/// Accepts the content of a bucket once all of it has been read and its lost values were written back.
struct RemoteObserver {
    service: String,
    state: Mutex<State>,
    layer: watch::Sender<RemoteLayer>,
    flags: watch::Sender<Arc<Published>>,
}

struct State {
    /// The published snapshot.
    known: Snapshot,
    /// The content read so far of a bucket that isn't accepted yet.
    reading: Option<Snapshot>,
}

impl BucketObserver for RemoteObserver {
    type Error = BrokerError;

    async fn begin(&self, bucket: &OpenBucket) -> Result<(), BrokerError> {
        self.state().reading = Some(Snapshot { created: bucket.created, ..Snapshot::default() });
        Ok(())
    }

    fn observe(&self, entry: BucketEntry) {
        let mut state = self.state();
        if let Some(reading) = &mut state.reading {
            reading.observe(entry);
        } else {
            state.known.observe(entry);
            self.publish(&state.known, true);
        }
    }

    async fn caught_up(&self, bucket: &OpenBucket) -> Result<(), BrokerError> {
        let lost = self.state().lost(bucket);
        if !lost.is_empty() {
            tracing::warn!(keys = lost.len(), "bucket of remote settings had lost values, writing them back");
        }
        for value in lost {
            let restored = restore(bucket, value).await?;
            if let (Some(entry), Some(reading)) = (restored, &mut self.state().reading) {
                reading.add_restored(entry);
            }
        }
        let mut state = self.state();
        if let Some(read) = state.reading.take() {
            state.known = read;
        }
        self.publish(&state.known, true);
        Ok(())
    }

    fn interrupted(&self, error: &FollowError<BrokerError>, repeated: bool) {
        self.publish(&self.state().known, false);
        // The broker may be down for long: logged once.
        if !repeated {
            tracing::warn!(%error, "remote settings can't be followed, keeping the last known ones");
        }
    }
}

impl RemoteObserver {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the known values to the receivers for which they changed. Called with the state locked, so that the
    /// newest is sent last.
    fn publish(&self, known: &Snapshot, connected: bool) {
        let layer = known.layer(&self.service);
        self.layer.send_if_modified(|published| {
            let changed = *published != layer;
            *published = layer;
            changed
        });
        let flags = known.flags(connected);
        self.flags.send_if_modified(|published| {
            let changed = **published != flags;
            *published = Arc::new(flags);
            changed
        });
    }
}

impl State {
    /// The values that the bucket being read has lost.
    fn lost(&self, bucket: &OpenBucket) -> Vec<LostValue> {
        let Some(reading) = &self.reading else { return Vec::new() };
        self.known.lost(reading, bucket.last.max(reading.revision()))
    }
}

/// Writes a lost value, unless another writer was faster. Returns the bucket's current value.
async fn restore(bucket: &OpenBucket, lost: LostValue) -> Result<Option<BucketEntry>, BrokerError> {
    let LostValue { key, value, over } = lost;
    match bucket.put(&key, value.clone(), over).await? {
        Some(revision) => Ok(Some(BucketEntry { key, value: Some(value), revision })),
        None => bucket.get(&key).await,
    }
}
