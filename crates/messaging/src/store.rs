//! The interfaces to the database: what the relay, the consumers and the retries of parked messages need from a store.
//!
//! [`crate::postgres`] implements them for production; the testkit implements them in memory for simulation.

mod stream;

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, StoreError};
use crate::event::Event;

pub use stream::{Checkpoint, ConsumerLoss, KnownConsumer, Rewind, StreamMark, StreamRecord};

/// A position in the outbox: everything up to and including it has been published. Rows are ordered by transaction id,
/// which is neither the order of commits nor an order per aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The database cluster that assigned the transaction ids.
    pub generation: i64,
    /// The transaction's id.
    pub xid: u64,
    /// The frame's id.
    pub id: Uuid,
}

impl Cursor {
    /// The position before every row of a generation.
    pub fn start_of(generation: i64) -> Self {
        Self { generation, xid: 0, id: Uuid::nil() }
    }
}

/// A granted right to publish.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    /// The fence: the cursor, the stream and its consumers may be changed only while the cursor row has this epoch.
    pub epoch: i64,
    /// Where the last holder stopped; `None` before the first publication.
    pub cursor: Option<Cursor>,
    /// The stream's state as recorded by the last holder.
    pub stream: Option<StreamMark>,
}

/// One row of the outbox: a frame.
pub trait OutboxRow: Send {
    /// Its position: transaction id and frame id.
    fn position(&self) -> (u64, Uuid);
    /// Its subject.
    fn subject(&self) -> &str;
    /// How many events it holds.
    fn events(&self) -> usize;
    /// The encoded batch, as [`crate::frame::FrameBuilder`] made it.
    fn payload(&self) -> &[u8];
}

/// The backlog of the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Backlog {
    /// Unpublished rows, counted up to a limit.
    pub pending: u64,
    /// The age of the oldest.
    pub age: Duration,
}

/// The relay's view of the store.
pub trait OutboxStore: Send + Sync + 'static {
    /// The type of a row that was read.
    type Row: OutboxRow;

    /// Acquires the lease if it is free or already the holder's; each grant has a higher epoch than the last.
    fn acquire(&self, holder: &str, lease: Duration) -> impl Future<Output = Result<Option<Grant>, StoreError>> + Send;

    /// Extends the lease; false if another epoch has begun.
    fn renew(&self, epoch: i64, lease: Duration) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Releases the lease early.
    fn release(&self, epoch: i64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All generations in the order of their appearance; the last one is the present cluster's.
    fn generations(&self) -> impl Future<Output = Result<Vec<i64>, StoreError>> + Send;

    /// Frames after the cursor in its generation: at most `max_frames`, and no more once they reach `max_bytes`. With
    /// `settled_only`, only those whose transaction id is below every transaction that is still running, so that no row
    /// can appear before them later.
    fn read(
        &self,
        after: Cursor,
        settled_only: bool,
        max_frames: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;

    /// Moves the cursor and extends the lease, if the epoch is still current; stores a checkpoint on request. The write
    /// may be lost in a crash of the database: then rows are published again.
    fn advance(
        &self,
        epoch: i64,
        cursor: Cursor,
        stream: StreamMark,
        checkpoint: bool,
        lease: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The newest checkpoint of this stream, or the cursor, at or below the sequence.
    fn checkpoint(&self, stream: StreamMark) -> impl Future<Output = Result<Option<Checkpoint>, StoreError>> + Send;

    /// The sequence of the oldest checkpoint of the stream with this creation time. Everything published above it is
    /// still in the outbox.
    fn oldest_checkpoint(&self, created: i64) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// Moves the cursor back after a loss, if the epoch is still current. Deletes the checkpoints above the new cursor
    /// and adds one at the stream's current end, so that checkpoints stay in the same order by sequence and by cursor.
    /// Stores the record of the stream and the losses in the same transaction.
    fn rewind(&self, epoch: i64, rewind: Rewind<'_>) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The stored record of the stream; `None` if none was stored yet.
    fn stream_record(&self) -> impl Future<Output = Result<Option<StreamRecord>, StoreError>> + Send;

    /// Stores the record of the stream, if the epoch is still current. The write may be lost in a crash of the
    /// database: the record is then older, and more is republished.
    fn keep_record(&self, epoch: i64, record: &StreamRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The backlog after the stored cursor.
    fn backlog(&self) -> impl Future<Output = Result<Backlog, StoreError>> + Send;
}

/// A message to be parked.
#[derive(Debug, Clone)]
pub struct Parked {
    /// The message; for an undecodable part of a frame, its bytes as the data, with an id derived from them.
    pub event: Event,
    /// Why.
    pub reason: String,
    /// Whether it is a dead letter: never retried.
    pub dead: bool,
}

/// What a consumer's transaction writes in addition to its handler's own rows.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages for the outbox.
    pub events: Vec<Event>,
    /// Messages to be parked.
    pub parked: Vec<Parked>,
}

impl Effects {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.parked.is_empty()
    }
}

/// The consumers' view of the store.
pub trait InboxStore: Send + Sync + 'static {
    /// A transaction; dropped, it is rolled back.
    type Tx: Send + 'static;

    /// Begins a transaction.
    fn begin(&self) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// Inserts inbox rows for these ids of frames or of events (sorted, distinct) and returns those that were new;
    /// waits for concurrent transactions with the same ids. The others have already been applied or parked.
    fn claim(
        &self,
        tx: &mut Self::Tx,
        consumer: &'static str,
        ids: &[Uuid],
    ) -> impl Future<Output = Result<Vec<Uuid>, StoreError>> + Send;

    /// Writes outbox and parked rows. A message that is already parked is left unchanged. A copy of each dead letter is
    /// appended to the outbox. Returns how many of the parked messages are new dead letters.
    fn write(
        &self,
        tx: &mut Self::Tx,
        consumer: &'static str,
        effects: &Effects,
    ) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Sets the savepoint to which [`InboxStore::undo`] goes back.
    fn savepoint(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Checks deferred constraints now, so that a failure shows before the commit.
    fn check(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Rolls back to the last savepoint.
    fn undo(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Rolls back and keeps the connection, unlike dropping the transaction.
    fn rollback(&self, tx: Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Commits, and wakes the relay if the transaction has appended something.
    fn commit(&self, tx: Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A parked message that is due.
#[derive(Debug, Clone)]
pub struct DueMessage {
    /// The consumer that parked it.
    pub consumer: &'static str,
    /// The message.
    pub event: Event,
    /// Attempts so far, including the first delivery.
    pub attempts: i32,
}

/// What happens after a failed retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Retry after this delay.
    RetryAfter(Duration),
    /// Give up.
    Bury,
}

/// How many messages are parked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParkedCounts {
    /// Messages to be retried.
    pub retrying: i64,
    /// Dead letters.
    pub dead: i64,
}

/// The store of parked messages.
pub trait ParkedStore: InboxStore {
    /// Locks one due message of these consumers, skipping messages that others have locked.
    fn due(
        &self,
        tx: &mut Self::Tx,
        consumers: &[&'static str],
    ) -> impl Future<Output = Result<Option<DueMessage>, StoreError>> + Send;

    /// Removes the message after it has been applied.
    fn settle(&self, tx: &mut Self::Tx, message: &DueMessage) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Counts a failed attempt; for [`Verdict::Bury`] a copy is appended to the outbox. Does nothing if another attempt
    /// was counted meanwhile.
    fn fail(
        &self,
        tx: &mut Self::Tx,
        message: &DueMessage,
        reason: &str,
        verdict: Verdict,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The number of parked messages.
    fn counts(&self) -> impl Future<Output = Result<ParkedCounts, StoreError>> + Send;
}
