//! What the relay does when the broker has lost its stream or the stream's tail.
//!
//! The broker is disposable: everything retained is still in the outbox. After a loss the stream's consumers are
//! deleted (services create them again from the first message; one that is ahead of its stream would skip what is
//! published next) and the cursor goes back to the newest record that the loss left true, else to the oldest retained
//! row.

use tracing::{info, warn};

use super::Stop;
use super::leader::Leader;
use crate::broker::Broker;
use crate::store::{Cursor, OutboxStore, StreamMark};

/// Whether the stream is still the recorded one and holds at least what was acked.
fn intact(recorded: StreamMark, found: StreamMark) -> bool {
    found.created == recorded.created && found.sequence >= recorded.sequence
}

impl<S: OutboxStore, B: Broker> Leader<'_, S, B> {
    /// At the start of an epoch: creates the stream if it isn't there and compares it with the record, if there is
    /// one.
    pub(super) async fn open_stream(&mut self, recorded: Option<StreamMark>) -> Result<(), Stop> {
        let found = self.parts.broker.ensure_stream(&self.parts.stream).await?;
        self.stream = found;
        match recorded {
            Some(recorded) if !intact(recorded, found) => self.rebuild(recorded).await,
            // Nothing recorded means nothing acked.
            _ => Ok(()),
        }
    }

    /// Compares the stream with what is known of it.
    pub(super) async fn check_stream(&mut self) -> Result<(), Stop> {
        let known = self.stream;
        match self.parts.broker.stream_state(self.parts.stream.name).await? {
            Some(found) if intact(known, found) => {
                // It may hold more than was acked: publications whose acks were lost.
                self.stream = found;
                Ok(())
            }
            _ => self.rebuild(known).await,
        }
    }

    async fn rebuild(&mut self, recorded: StreamMark) -> Result<(), Stop> {
        let stream = self.parts.stream.name;
        warn!(stream, recorded = recorded.sequence, "the stream was lost or cut, publishing again");
        self.ahead = None;
        // Stream and consumers may be changed only under the lease.
        self.confirm_lease().await?;
        self.parts.broker.delete_consumers(stream).await?;
        let found = self.parts.broker.ensure_stream(&self.parts.stream).await?;
        let oldest = self.generations.first().copied().unwrap_or(self.cursor.generation);
        let cursor = match self.parts.store.checkpoint(found).await? {
            Some(cursor) => cursor,
            None => Cursor::start_of(oldest),
        };
        if !self.parts.store.rewind(self.epoch, cursor, found).await? {
            return Err(Stop::LeaseLost);
        }
        info!(stream, sequence = found.sequence, xid = cursor.xid, "relay goes back to the last record that holds");
        self.cursor = cursor;
        self.stream = found;
        self.parts.metrics.rebuilds.inc();
        Ok(())
    }
}
