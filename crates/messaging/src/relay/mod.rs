//! The relay: publishes the outbox to the service's stream.
//!
//! One relay of a service works at a time: it holds a lease whose epoch fences every change of cursor, stream and
//! consumers. The others forward their process's rings as pings and try for the lease. The cursor moves only after
//! the broker has acked, so a crash in between only repeats.

mod faults;
mod leader;
mod lease;
mod loss;
mod recovery;
mod refusal;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_fault::Faults;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::broker::{Broker, StreamConfig};
use crate::error::{BrokerError, StoreError};
use crate::metrics::Metrics;
use crate::outbox::Waker;
use crate::settings::RelaySettings;
use crate::store::{Grant, OutboxStore};
use flotilla_clock::Backoff;
use flotilla_clock::Ids;
use flotilla_clock::Random;

pub use faults::POISON_SOURCE;
use faults::RelayFaults;
pub use refusal::StreamHealth;

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What a relay works with.
pub struct RelayParts<S, B> {
    /// The outbox.
    pub store: S,
    /// The broker.
    pub broker: B,
    /// The stream that it alone writes.
    pub stream: StreamConfig,
    /// Its name in the lease, unlike any other process's.
    pub holder: String,
    /// The subject of pings between the service's replicas; in no stream.
    pub pings: String,
    /// Its pace.
    pub settings: RelaySettings,
    /// The longest that the broker may take to ack a batch.
    pub publish_deadline: Duration,
    /// How long the outbox keeps its rows; consumers that have been missing for longer are forgotten.
    pub retention: Duration,
    /// Whether the stream takes messages.
    pub health: StreamHealth,
    /// The process's bell.
    pub waker: Waker,
    /// Jitter.
    pub random: Arc<dyn Random>,
    /// Counters.
    pub metrics: Metrics,
}

/// One process's relay.
pub struct Relay<S, B> {
    parts: RelayParts<S, B>,
    epoch: Arc<AtomicI64>,
    faults: RelayFaults,
}

/// Why a relay stopped leading.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("shutting down")]
    Shutdown,
    #[error("another relay holds the lease")]
    LeaseLost,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl<S: OutboxStore, B: Broker> Relay<S, B> {
    /// Puts a relay together.
    pub fn new(parts: RelayParts<S, B>) -> Self {
        Self { parts, epoch: Arc::new(AtomicI64::new(0)), faults: RelayFaults::none() }
    }

    /// Lets faults strike its publications; `ids` makes the ids of damaged copies.
    #[must_use]
    pub fn with_faults(self, faults: &Faults, ids: Ids) -> Self {
        Self { faults: RelayFaults::new(faults, ids), ..self }
    }

    /// The epoch while this relay leads, else 0; for others whose work the lease fences too.
    pub fn epoch(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.epoch)
    }

    /// Works until `shutdown`; then publishes what is left, within a bound, and gives the lease back.
    pub async fn run(self, shutdown: CancellationToken) {
        let parts = &self.parts;
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
        while !shutdown.is_cancelled() {
            if !parts.broker.is_up() {
                // No lease for a relay that can't publish.
                self.follow(&shutdown, parts.settings.poll.0).await;
                continue;
            }
            let asked = Instant::now();
            let granted = parts.store.acquire(&parts.holder, parts.settings.lease.0).await;
            let stop = match granted {
                Ok(Some(grant)) => {
                    debug!(epoch = grant.epoch, stream = parts.stream.name, "relay leads");
                    self.lead(grant, asked, &shutdown, &mut backoff).await
                }
                Ok(None) => {
                    self.follow(&shutdown, parts.settings.lease.0 / 5).await;
                    continue;
                }
                Err(error) => Stop::Store(error),
            };
            match stop {
                Stop::Shutdown => break,
                Stop::LeaseLost => info!(stream = parts.stream.name, "relay lost its lease"),
                error => {
                    warn!(error = %error, stream = parts.stream.name, "relay stopped, retrying");
                    backoff.wait(parts.random.as_ref(), &shutdown).await;
                }
            }
        }
    }

    async fn lead(&self, grant: Grant, asked: Instant, shutdown: &CancellationToken, backoff: &mut Backoff) -> Stop {
        self.epoch.store(grant.epoch, Ordering::Relaxed);
        self.parts.metrics.leader.set(1);
        let stop = match leader::Leader::open(&self.parts, &self.faults, grant, asked).await {
            Ok(mut leader) => {
                backoff.reset();
                leader.work(shutdown).await
            }
            Err(stop) => stop,
        };
        self.parts.metrics.leader.set(0);
        self.parts.metrics.stream_refuses.set(0);
        self.parts.metrics.reset_blocked.set(0);
        self.parts.health.set(false);
        self.epoch.store(0, Ordering::Relaxed);
        if !matches!(stop, Stop::LeaseLost) {
            // Another replica needn't wait for the lease to run out; if this fails, it does.
            if let Err(error) = self.parts.store.release(grant.epoch).await {
                debug!(error = %error, "lease not given back");
            }
        }
        stop
    }

    /// Forwards rings to the relay that leads, for as long as `time`.
    async fn follow(&self, shutdown: &CancellationToken, time: Duration) {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                () = self.parts.waker.woken() => {}
            }
            let target = Bytes::copy_from_slice(&self.parts.waker.target().to_be_bytes());
            if let Err(error) = self.parts.broker.ping(&self.parts.pings, target).await {
                debug!(error = %error, "ping not sent, the relay's poll will find the rows");
            }
            // One ping tells of all commits of this moment.
            tokio::time::sleep(self.parts.settings.gather.0).await;
        }
    }
}
