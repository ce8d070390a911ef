//! The in-memory store as the relay uses it.

use std::ops::Bound;
use std::time::Duration;

use flotilla_messaging::StoreError;
use flotilla_messaging::store::{
    Backlog, Checkpoint, Cursor, Grant, OutboxRow, OutboxStore, Rewind, StreamMark, StreamRecord,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::store::{MemoryStore, OutboxEntry, StoreFault, broken};

/// A row as it is read.
pub struct MemoryRow {
    position: (u64, Uuid),
    entry: OutboxEntry,
}

impl OutboxRow for MemoryRow {
    fn position(&self) -> (u64, Uuid) {
        self.position
    }

    fn subject(&self) -> &str {
        &self.entry.frame.subject
    }

    fn events(&self) -> usize {
        self.entry.frame.events
    }

    fn payload(&self) -> &[u8] {
        &self.entry.frame.payload
    }
}

impl OutboxStore for MemoryStore {
    type Row = MemoryRow;

    async fn acquire(&self, holder: &str, lease: Duration) -> Result<Option<Grant>, StoreError> {
        tokio::task::yield_now().await;
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        if state.lease.until.is_some_and(|until| until >= now) && state.lease.holder != holder {
            return Ok(None);
        }
        state.lease.epoch += 1;
        state.lease.holder = holder.to_owned();
        state.lease.until = Some(now + lease);
        Ok(Some(Grant { epoch: state.lease.epoch, cursor: state.lease.cursor, stream: state.lease.stream }))
    }

    async fn renew(&self, epoch: i64, lease: Duration) -> Result<bool, StoreError> {
        let mut state = self.shared.state.lock();
        if state.lease.epoch != epoch {
            return Ok(false);
        }
        state.lease.until = Some(Instant::now() + lease);
        Ok(true)
    }

    async fn release(&self, epoch: i64) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        if state.lease.epoch == epoch {
            state.lease.until = None;
            state.lease.holder.clear();
        }
        Ok(())
    }

    async fn generations(&self) -> Result<Vec<i64>, StoreError> {
        let mut state = self.shared.state.lock();
        let present = state.generation;
        state.generations.retain(|generation| *generation != present);
        state.generations.push(present);
        Ok(state.generations.clone())
    }

    async fn read(
        &self,
        after: Cursor,
        settled_only: bool,
        max_frames: usize,
        max_bytes: usize,
    ) -> Result<Vec<MemoryRow>, StoreError> {
        tokio::task::yield_now().await;
        let state = self.shared.state.lock();
        let settled = state.running.first().copied().unwrap_or(state.last_xid + 1);
        let mut bytes = 0;
        Ok(state
            .outbox
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter(|(place, _)| place.generation == after.generation && (!settled_only || place.xid < settled))
            .take(max_frames)
            .take_while(|(_, entry)| {
                let more = bytes < max_bytes;
                bytes += entry.frame.payload.len();
                more
            })
            .map(|(place, entry)| MemoryRow { position: (place.xid, place.id), entry: entry.clone() })
            .collect())
    }

    async fn advance(
        &self,
        epoch: i64,
        cursor: Cursor,
        stream: StreamMark,
        checkpoint: bool,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        let mut state = self.shared.state.lock();
        if let Some(StoreFault::Advance(kind)) = state.fault(|fault| matches!(fault, StoreFault::Advance(_))) {
            return Err(broken(kind));
        }
        if state.lease.epoch != epoch {
            return Ok(false);
        }
        state.lease.cursor = Some(cursor);
        state.lease.stream = Some(stream);
        state.lease.until = Some(Instant::now() + lease);
        if checkpoint {
            state.checkpoints.insert((stream.created, stream.sequence), cursor);
        }
        Ok(true)
    }

    async fn checkpoint(&self, stream: StreamMark) -> Result<Option<Checkpoint>, StoreError> {
        let state = self.shared.state.lock();
        let recorded = state.lease.stream.zip(state.lease.cursor);
        let present = recorded
            .filter(|(known, _)| known.created == stream.created && known.sequence <= stream.sequence)
            .map(|(known, cursor)| Checkpoint { sequence: known.sequence, cursor });
        let older = state.checkpoints.range((stream.created, 0)..=(stream.created, stream.sequence)).next_back();
        Ok(present.or(older.map(|((_, sequence), cursor)| Checkpoint { sequence: *sequence, cursor: *cursor })))
    }

    async fn oldest_checkpoint(&self, created: i64) -> Result<Option<u64>, StoreError> {
        let state = self.shared.state.lock();
        let oldest = state.checkpoints.range((created, 0)..=(created, u64::MAX)).next();
        Ok(oldest.map(|((_, sequence), _)| *sequence))
    }

    async fn rewind(&self, epoch: i64, rewind: Rewind<'_>) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        let mut state = self.shared.state.lock();
        if state.lease.epoch != epoch {
            return Ok(false);
        }
        let Rewind { to, stream, record, losses, .. } = rewind;
        state.lease.cursor = Some(to.cursor);
        state.lease.stream = Some(stream);
        state.checkpoints.retain(|(created, sequence), _| *created == stream.created && *sequence <= to.sequence);
        state.checkpoints.insert((stream.created, stream.sequence), to.cursor);
        state.record = Some(record.clone());
        state.losses.extend_from_slice(losses);
        Ok(true)
    }

    async fn stream_record(&self) -> Result<Option<StreamRecord>, StoreError> {
        tokio::task::yield_now().await;
        Ok(self.shared.state.lock().record.clone())
    }

    async fn keep_record(&self, epoch: i64, record: &StreamRecord) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        let mut state = self.shared.state.lock();
        if state.lease.epoch != epoch {
            return Ok(false);
        }
        state.record = Some(record.clone());
        Ok(true)
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let state = self.shared.state.lock();
        let after = state.lease.cursor.unwrap_or_else(|| Cursor::start_of(state.generation));
        let waiting: Vec<_> = state
            .outbox
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter(|(place, _)| place.generation == after.generation)
            .map(|(_, entry)| entry.since.elapsed())
            .collect();
        Ok(Backlog { pending: waiting.len() as u64, age: waiting.into_iter().max().unwrap_or_default() })
    }
}
