//! The expiry worker: publishes `ReservationExpired` for expired reservations, and repeats it with growing pauses until
//! orders replies. It frees nothing: only a release or a commit ends a reservation.

use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_messaging::Outbox;
use flotilla_postgres::Pool;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::HoldSettings;
use crate::error::Error;
use crate::events::replies;
use crate::storage::{Backoff, sweep, take_due};

/// Publishes the expired reservations.
pub struct ExpiryWorker {
    pool: Pool,
    outbox: Outbox,
    ids: Ids,
    hold: Duration,
    poll: Duration,
    batch: u32,
    backoff: Backoff,
}

impl ExpiryWorker {
    /// Creates a worker with this pool.
    #[must_use]
    pub fn new(pool: Pool, outbox: Outbox, ids: Ids, settings: &HoldSettings) -> Self {
        let backoff = Backoff { first: settings.notice_backoff.get(), longest: settings.notice_backoff_max.get() };
        Self {
            pool,
            outbox,
            ids,
            hold: settings.time.get(),
            poll: settings.poll.get(),
            batch: settings.notice_batch,
            backoff,
        }
    }

    /// Runs until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(self.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.round(&shutdown).await {
                tracing::warn!(error = %error, "expired reservations could not be read");
            }
        }
    }

    async fn round(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        sweep(&self.pool, self.hold).await?;
        // A full batch is followed by the next without a pause: the backlog is finite, because each hold's next notice
        // is later.
        while self.publish_expired().await? == self.batch as usize && !shutdown.is_cancelled() {}
        Ok(())
    }

    async fn publish_expired(&self) -> Result<usize, Error> {
        let tx = self.pool.begin().await?;
        let due = take_due(&tx, self.batch, self.backoff).await?;
        if due.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let events: Vec<_> = due.iter().map(|(order, notice)| replies::expired(&self.ids, *order, *notice)).collect();
        self.outbox.append(&tx, &events).await?;
        tx.commit().await?;
        tracing::info!(reservations = due.len(), "reservations expired");
        Ok(due.len())
    }
}
