//! The relay: publishes the outbox to the service's stream.
//!
//! One relay of a service works at a time: it holds a lease whose epoch fences every change of cursor, stream and
//! consumers. The others forward their process's wake-ups as pings and try to acquire the lease. The cursor moves only
//! after the broker has acked, so a crash in between only causes duplicates.

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

/// The maximum pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The parts of a relay.
pub struct RelayParts<S, B> {
    /// The outbox.
    pub store: S,
    /// The broker.
    pub broker: B,
    /// The stream that only this service's relay writes.
    pub stream: StreamConfig,
    /// Its unique name in the lease.
    pub holder: String,
    /// The subject of pings between the service's replicas; not part of any stream.
    pub pings: String,
    /// Its pace.
    pub settings: RelaySettings,
    /// Maximum wait for the broker's acks of a batch.
    pub publish_deadline: Duration,
    /// How long the outbox keeps its rows; consumers that have been missing for longer are forgotten.
    pub retention: Duration,
    /// Whether the stream accepts messages.
    pub health: StreamHealth,
    /// The process's waker, which transactions use to wake the relay.
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
    /// Creates a relay from its parts.
    pub fn new(parts: RelayParts<S, B>) -> Self {
        Self { parts, epoch: Arc::new(AtomicI64::new(0)), faults: RelayFaults::none() }
    }

    /// Applies injected faults to its publications; `ids` generates the ids of damaged copies.
    #[must_use]
    pub fn with_faults(self, faults: &Faults, ids: Ids) -> Self {
        Self { faults: RelayFaults::new(faults, ids), ..self }
    }

    /// The epoch while this relay leads, else 0; for other tasks that the lease also fences.
    pub fn epoch(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.epoch)
    }

    /// Runs until `shutdown`; then publishes the remaining rows, within a time limit, and releases the lease.
    pub async fn run(self, shutdown: CancellationToken) {
        let parts = &self.parts;
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
        while !shutdown.is_cancelled() {
            if !parts.broker.is_up() {
                // A relay that can't publish must not take the lease.
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
            // So that another replica needn't wait for the lease to expire; if this fails, it waits.
            if let Err(error) = self.parts.store.release(grant.epoch).await {
                debug!(error = %error, "lease not released");
            }
        }
        stop
    }

    /// Forwards wake-ups to the leading relay for the duration of `time`.
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
            // One ping covers all commits of this moment.
            tokio::time::sleep(self.parts.settings.gather.0).await;
        }
    }
}
