//! How the relay recovers when the broker has lost its stream, the stream's tail, or messages before its end.
//!
//! The broker is disposable: everything retained is still in the outbox. After the loss of a stream or of its tail the
//! consumers are deleted. Services recreate them from the first message; a consumer that is ahead of its stream would
//! skip what is published next. In each case the cursor goes back to the newest checkpoint below the loss, or to the
//! oldest retained row if there is none. If no checkpoint is left, a consumer may have been further behind than the
//! outbox keeps its rows: that loss is recorded for an operator.

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Stop;
use super::leader::Leader;
use super::loss::LossCheck;
use crate::broker::{Broker, ConsumerState, StreamState};
use crate::ranges::Ranges;
use crate::store::{Checkpoint, Cursor, OutboxStore, Rewind, StreamMark, StreamRecord};

/// Whether the stream is still the recorded one and its last sequence covers everything that was acked.
fn intact(recorded: StreamMark, found: StreamMark) -> bool {
    found.created == recorded.created && found.sequence >= recorded.sequence
}

impl<S: OutboxStore, B: Broker> Leader<'_, S, B> {
    /// At the start of an epoch: creates the stream if it doesn't exist and compares it with the record.
    pub(super) async fn open_stream(&mut self, recorded: Option<StreamMark>) -> Result<(), Stop> {
        let found = self.parts.broker.ensure_stream(&self.parts.stream).await?;
        let kept = self.parts.store.stream_record().await?.filter(|kept| {
            // The record must be that of the recorded stream, which may no longer exist.
            kept.created == recorded.map_or(found.mark.created, |recorded| recorded.created)
        });
        let known = kept.is_some();
        self.record = kept.unwrap_or_else(|| StreamRecord::of(found.mark.created));
        match recorded {
            Some(recorded) if !intact(recorded, found.mark) => return self.rebuild(recorded).await,
            Some(_) => self.stream = found.mark,
            // Nothing was acked, so everything that the stream may hold is republished.
            None => {
                let end = StreamMark { sequence: 0, ..found.mark };
                return self.rewind(&found, self.start(), &Ranges::default(), end).await;
            }
        }
        if !known {
            // The first check of a stream that is already in use: messages that aged out before are no loss.
            let gone = self.gone(&found).await?;
            self.record.settle(&found, gone);
        }
        Ok(())
    }

    /// Compares the stream with what is known of it.
    pub(super) async fn check_stream(&mut self) -> Result<(), Stop> {
        let known = self.stream;
        // Read before the stream: if a loss advances an ack floor, the stream's state then shows that loss.
        let consumers = self.parts.broker.consumers(self.parts.stream.name).await?;
        match self.parts.broker.stream_state(self.parts.stream.name).await? {
            Some(found) if intact(known, found.mark) => {
                // It may hold more than was acked: publications whose acks were lost.
                self.stream = found.mark;
                self.compare(&found, consumers).await
            }
            _ => self.rebuild(known).await,
        }
    }

    /// Looks for losses before the stream's end.
    async fn compare(&mut self, found: &StreamState, consumers: Vec<ConsumerState>) -> Result<(), Stop> {
        self.record.forget_unseen(self.parts.retention);
        let gone = self.gone(found).await?;
        let lost = self.record.fresh(&gone);
        if let Some(lowest) = self.record.lowest_needed(&lost) {
            let frames = lost.count(1, found.mark.sequence);
            warn!(
                stream = self.parts.stream.name,
                lowest, frames, "messages that a consumer needs were lost, publishing them again"
            );
            let to = self.checkpoint_below(lowest).await?;
            self.record.settle(found, gone);
            return self.rewind(found, to, &lost, found.mark).await;
        }
        let mut news = self.record.settle(found, gone);
        // The server may report pending messages a little late: only sequences from the previous check count.
        news |= self.record.observe(consumers, self.looked_at, self.parts.retention);
        self.looked_at = found.mark.sequence;
        if news || self.kept_at.elapsed() > super::leader::KEEP_RECORD {
            if !self.parts.store.keep_record(self.epoch, &self.record).await? {
                return Err(Stop::LeaseLost);
            }
            self.kept_at = Instant::now();
        }
        Ok(())
    }

    async fn gone(&self, found: &StreamState) -> Result<Ranges, Stop> {
        match self.record.check(found) {
            LossCheck::Gone(gone) => Ok(gone),
            LossCheck::List => {
                let deleted = self.parts.broker.deleted(self.parts.stream.name).await?;
                Ok(StreamRecord::listed(found, deleted))
            }
        }
    }

    /// The newest checkpoint below a sequence, or the start of the outbox.
    async fn checkpoint_below(&self, sequence: u64) -> Result<Checkpoint, Stop> {
        let below = StreamMark { created: self.stream.created, sequence: sequence.saturating_sub(1) };
        Ok(self.parts.store.checkpoint(below).await?.unwrap_or_else(|| self.start()))
    }

    /// Before the oldest retained row.
    fn start(&self) -> Checkpoint {
        let oldest = self.generations.first().copied().unwrap_or(self.cursor.generation);
        Checkpoint { sequence: 0, cursor: Cursor::start_of(oldest) }
    }

    /// Recovers from the loss of the stream or its tail.
    pub(super) async fn rebuild(&mut self, recorded: StreamMark) -> Result<(), Stop> {
        let stream = self.parts.stream.name;
        warn!(stream, recorded = recorded.sequence, "the stream lost messages, publishing them again");
        // Stream and consumers may be changed only under the lease.
        self.confirm_lease().await?;
        self.parts.broker.delete_consumers(stream).await?;
        let found = self.parts.broker.ensure_stream(&self.parts.stream).await?;
        let same = found.mark.created == recorded.created;
        let last = if same { found.mark.sequence } else { 0 };
        let lost = Ranges::one(last + 1, recorded.sequence);
        self.stream = found.mark;
        let to = if same { self.checkpoint_below(last + 1).await? } else { self.start() };
        self.rewind(&found, to, &lost, StreamMark { created: recorded.created, sequence: last }).await
    }

    /// Moves the cursor back and updates the record of the stream. Nothing above `end`'s sequence is left in the stream
    /// that `end` names.
    async fn rewind(
        &mut self,
        found: &StreamState,
        to: Checkpoint,
        lost: &Ranges,
        end: StreamMark,
    ) -> Result<(), Stop> {
        self.ahead = None;
        let retained = self.parts.store.oldest_checkpoint(end.created).await?.unwrap_or_default();
        let losses = self.record.losses(lost, retained);
        for loss in &losses {
            error!(
                stream = self.parts.stream.name,
                consumer = loss.consumer,
                first = loss.first,
                last = loss.last,
                "a consumer is further behind than the outbox's retention and has lost messages"
            );
        }
        if found.mark.created == end.created {
            self.record.cut(end.sequence);
        } else {
            let consumers = std::mem::take(&mut self.record.consumers);
            self.record = StreamRecord { consumers, ..StreamRecord::of(found.mark.created) };
            self.record.cut(0);
        }
        self.record.cover(to.sequence + 1, found.mark.sequence);
        let record = &self.record;
        let rewind = Rewind { to, stream: found.mark, record, losses: &losses, lost_from: end.created };
        if !self.parts.store.rewind(self.epoch, rewind).await? {
            return Err(Stop::LeaseLost);
        }
        self.cursor = to.cursor;
        self.stream = found.mark;
        self.kept_at = Instant::now();
        self.looked_at = 0;
        if !lost.is_empty() {
            let (sequence, xid) = (to.sequence, to.cursor.xid);
            info!(stream = self.parts.stream.name, sequence, xid, "relay returns to the last valid checkpoint");
            self.parts.metrics.rebuilds.inc();
        }
        Ok(())
    }
}
