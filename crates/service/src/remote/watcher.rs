//! The watcher of the bucket, and the handle by which its news are read.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_config::RemoteLayer;
use flotilla_flags::Published;
use flotilla_messaging::broker::nats::NatsBroker;
use flotilla_messaging::{BrokerError, Bucket, NatsSettings, OpenBucket};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::book::{Book, Lost};
use super::{BUCKET, RemoteSettings};

/// How often the bucket is looked at: whether it is still the same, over the same connection.
const CHECK: Duration = Duration::from_secs(2);
/// Pause after a failure; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the bucket says, to be read and to be followed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Remote {
    layer: watch::Receiver<RemoteLayer>,
    flags: watch::Receiver<Arc<Published>>,
}

impl Remote {
    /// The handle, and the watcher behind it, which its owner has to run. Connects in the background.
    ///
    /// # Errors
    /// The address can't be understood.
    pub async fn watch(service: &str, settings: &RemoteSettings) -> anyhow::Result<(Self, Watcher)> {
        let nats = NatsSettings { url: settings.nats_url.clone(), ..NatsSettings::default() };
        let broker = NatsBroker::connect(&format!("{service} settings"), &nats).await.context("remote.nats_url")?;
        let book = Book::default();
        let (layer, layers) = watch::channel(book.layer(service));
        let (flags, published) = watch::channel(Arc::new(book.flags(false)));
        let bucket = broker.bucket(BUCKET);
        let watcher = Watcher { service: service.to_owned(), bucket, book, layer, flags };
        Ok((Self { layer: layers, flags: published }, watcher))
    }

    /// Waits until the bucket has been read, or `patience` is over. Says whether it was.
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

    /// Told of each change of the layer from now on.
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
pub struct Watcher {
    service: String,
    bucket: Bucket,
    book: Book,
    layer: watch::Sender<RemoteLayer>,
    flags: watch::Sender<Arc<Published>>,
}

/// Why the watcher starts over.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("the bucket or the connection to it is another")]
    Changed,
}

impl Watcher {
    /// Works until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        let mut pause = FIRST_PAUSE;
        let mut complained = false;
        loop {
            let mut followed = false;
            let Err(fault) = self.follow(&mut followed).await;
            self.tell(false);
            // The broker may be away for long: said once.
            if followed || !complained {
                tracing::warn!(error = %fault, "remote settings are not followed, the last known ones hold");
            }
            complained = true;
            if followed {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Follows the bucket until something goes wrong; `followed` is set once all that it holds was seen.
    async fn follow(&mut self, followed: &mut bool) -> Result<Infallible, Fault> {
        let bucket = self.bucket.open().await?;
        let mut watch = bucket.watch().await?;
        let mut found = Book { created: bucket.created, ..Book::default() };
        while !watch.is_current() {
            found.hear(watch.next().await?);
        }
        let lost = self.book.lost(&found, bucket.last.max(found.revision()));
        if !lost.is_empty() {
            tracing::warn!(keys = lost.len(), "bucket of remote settings had lost values, they are written back");
        }
        for one in lost {
            give_back(&bucket, &mut found, one).await?;
        }
        self.book = found;
        *followed = true;
        self.tell(true);
        let mut checks = tokio::time::interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                kept = watch.next() => {
                    self.book.hear(kept?);
                    self.tell(true);
                }
                _ = checks.tick() => if !bucket.is_same().await? {
                    return Err(Fault::Changed);
                },
            }
        }
    }

    /// Tells what is known to those whom it changes.
    fn tell(&self, connected: bool) {
        let layer = self.book.layer(&self.service);
        self.layer.send_if_modified(|told| {
            let changed = *told != layer;
            *told = layer;
            changed
        });
        let flags = self.book.flags(connected);
        self.flags.send_if_modified(|told| {
            let changed = **told != flags;
            *told = Arc::new(flags);
            changed
        });
    }
}

/// Writes a lost value, unless someone was faster: then theirs is taken in.
async fn give_back(bucket: &OpenBucket, found: &mut Book, lost: Lost) -> Result<(), BrokerError> {
    let Lost { key, value, over } = lost;
    let kept = match bucket.put(&key, value.clone(), over).await? {
        Some(revision) => Some(flotilla_messaging::Kept { key, value: Some(value), revision }),
        None => bucket.get(&key).await?,
    };
    if let Some(kept) = kept {
        found.hear(kept);
    }
    Ok(())
}
