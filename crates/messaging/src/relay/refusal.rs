//! Recovers a stream that refuses messages although its server answers.
//!
//! After a full disk nats-server keeps refusing a stream's messages even when there is room again, until the stream is
//! recreated. The relay detects this by failed publications while the server still reports the stream's state; a server
//! that doesn't answer, or a lost connection, doesn't count. Before it deletes anything, the relay makes sure that the
//! server can write again, and that the outbox still has everything that a consumer hasn't acked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Stop;
use super::leader::Leader;
use crate::broker::Broker;
use crate::error::BrokerError;
use crate::ranges::Ranges;
use crate::store::OutboxStore;

/// Consecutive publications that must fail before the stream is recreated.
const REFUSALS: u32 = 5;
/// The pause after a refused publication.
const PAUSE: Duration = Duration::from_millis(250);
/// The pause between two attempts to recreate a stream that keeps refusing: initial and maximum.
const RESET_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// More than a server buffers in memory before it writes.
const PROBE_BYTES: usize = 256 * 1024;

/// Whether a service's stream accepts messages, for readiness.
#[derive(Debug, Clone, Default)]
pub struct StreamHealth(Arc<AtomicBool>);

impl StreamHealth {
    /// Whether the stream refuses messages, as far as this process's relay knows.
    pub fn refuses(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, refuses: bool) {
        self.0.store(refuses, Ordering::Relaxed);
    }
}

/// Counts a stream's refusals, and when it may next be recreated.
#[derive(Debug)]
pub(super) struct Refusals {
    count: u32,
    pause: Duration,
    next_reset: Instant,
}

impl Refusals {
    pub(super) fn none() -> Self {
        Self { count: 0, pause: RESET_PAUSE.0, next_reset: Instant::now() }
    }
}

impl<S: OutboxStore, B: Broker> Leader<'_, S, B> {
    /// Handles a failed publication. `before` was the stream's last sequence.
    pub(super) async fn refused(&mut self, before: u64, error: BrokerError) -> Result<(), Stop> {
        if matches!(error, BrokerError::Refused(_)) {
            // The frame is too large, or the server too old: recreating the stream wouldn't help.
            return Err(error.into());
        }
        // Whatever failed, publish nothing more until the stream is known to be intact. A server that doesn't answer
        // this either is down, which isn't a refusal.
        if let Err(stop) = self.check_stream().await {
            self.refusals = Refusals::none();
            return Err(stop);
        }
        if self.stream.sequence != before {
            self.refusals.count = 0;
            return Ok(());
        }
        self.refusals.count += 1;
        if self.refusals.count < REFUSALS {
            tokio::time::sleep(PAUSE).await;
            return Ok(());
        }
        if !self.parts.health.refuses() {
            warn!(stream = self.parts.stream.name, error = %error, "the stream refuses messages although the broker answers");
        }
        self.set_refuses(true);
        if Instant::now() >= self.refusals.next_reset {
            self.reset_stream().await?;
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Handles a successful publication.
    pub(super) fn accepted(&mut self) {
        if self.refusals.count > 0 {
            if self.parts.health.refuses() {
                info!(stream = self.parts.stream.name, "the stream accepts messages again");
            }
            self.set_refuses(false);
            self.parts.metrics.reset_blocked.set(0);
            self.refusals = Refusals::none();
        }
    }

    fn set_refuses(&self, refuses: bool) {
        self.parts.health.set(refuses);
        self.parts.metrics.stream_refuses.set(i64::from(refuses));
    }

    /// Recreates the stream if that can help and loses nothing.
    async fn reset_stream(&mut self) -> Result<(), Stop> {
        let stream = self.parts.stream.name;
        self.refusals.next_reset = Instant::now() + self.refusals.pause;
        if let Err(error) = self.parts.broker.probe(&format!("{}.probe", self.parts.pings), PROBE_BYTES).await {
            warn!(stream, error = %error, "the broker can't write, the stream is left as it is");
            return Ok(());
        }
        if self.holds_what_the_outbox_lacks().await? {
            error!(
                stream,
                "the stream refuses messages and isn't recreated: it holds some that the outbox no longer has"
            );
            self.parts.metrics.reset_blocked.set(1);
            return Ok(());
        }
        self.parts.metrics.reset_blocked.set(0);
        self.refusals.pause = (self.refusals.pause * 2).min(RESET_PAUSE.1);
        self.refusals.next_reset = Instant::now() + self.refusals.pause;
        warn!(stream, "the stream is recreated and filled from the outbox");
        self.confirm_lease().await?;
        self.parts.broker.delete_stream(stream).await?;
        self.parts.metrics.resets.inc();
        self.rebuild(self.stream).await
    }

    /// Whether some consumer hasn't acked messages that only the stream has.
    async fn holds_what_the_outbox_lacks(&self) -> Result<bool, Stop> {
        let retained = self.parts.store.oldest_checkpoint(self.stream.created).await?.unwrap_or_default();
        let held = Ranges::one(1, retained).without(&self.record.gone).without(&self.record.covered);
        Ok(self.record.lowest_needed(&held).is_some())
    }
}
