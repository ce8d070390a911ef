//! The lease of the leading relay: each move of the cursor renews it.

use tokio::time::Instant;

use super::Stop;
use super::leader::Leader;
use crate::broker::Broker;
use crate::store::{Cursor, OutboxStore};

impl<S: OutboxStore, B: Broker> Leader<'_, S, B> {
    /// Moves the cursor, which renews the lease.
    pub(super) async fn advance(&mut self, cursor: Cursor) -> Result<(), Stop> {
        let settings = &self.parts.settings;
        let now = Instant::now();
        let checkpoint = now >= self.next_checkpoint;
        let moved = self.parts.store.advance(self.epoch, cursor, self.stream, checkpoint, settings.lease.0).await?;
        if !moved {
            return Err(Stop::LeaseLost);
        }
        if checkpoint {
            self.next_checkpoint = now + settings.checkpoint.0;
        }
        self.lease_until = now + settings.lease.0;
        self.cursor = cursor;
        Ok(())
    }

    /// Renews the lease well before a publication could outlast it.
    pub(super) async fn keep_lease(&mut self, now: Instant) -> Result<(), Stop> {
        let lease = self.parts.settings.lease.0;
        if self.lease_until.saturating_duration_since(now) > lease.mul_f64(0.6) {
            return Ok(());
        }
        self.confirm_lease().await
    }

    /// Renews the lease; an error if it was lost.
    pub(super) async fn confirm_lease(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        let lease = self.parts.settings.lease.0;
        if !self.parts.store.renew(self.epoch, lease).await? {
            return Err(Stop::LeaseLost);
        }
        self.lease_until = now + lease;
        Ok(())
    }
}
