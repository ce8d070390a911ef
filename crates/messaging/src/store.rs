//! The seams to the database: what the relay, the consumers and the retries of parked messages need of a store.
//!
//! [`crate::postgres`] implements them for production, the testkit in memory for simulation.

mod stream;

use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, StoreError};
use crate::event::Event;

pub use stream::{Checkpoint, ConsumerLoss, KnownConsumer, Rewind, StreamMark, StreamRecord};

/// A place in the outbox: everything up to and including it has been published. The order is that of transaction ids,
/// which is neither the order of commits nor an order per aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The database cluster that gave out the transaction ids.
    pub generation: i64,
    /// The transaction's id.
    pub xid: u64,
    /// The frame's id.
    pub id: Uuid,
}

impl Cursor {
    /// Before every row of a generation.
    pub fn start_of(generation: i64) -> Self {
        Self { generation, xid: 0, id: Uuid::nil() }
    }
}

/// The right to publish, as granted.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    /// The fence: every change of the cursor, the stream and its consumers holds only while the cursor row has this
    /// epoch.
    pub epoch: i64,
    /// Where the last holder stopped; nothing before the first publication.
    pub cursor: Option<Cursor>,
    /// The stream as the last holder knew it.
    pub stream: Option<StreamMark>,
}

/// One row of the outbox: a frame.
pub trait OutboxRow: Send {
    /// Its place: transaction id and frame id.
    fn position(&self) -> (u64, Uuid);
    /// Its subject.
    fn subject(&self) -> &str;
    /// How many events it holds.
    fn events(&self) -> usize;
    /// The encoded batch, as [`crate::frame::FrameBuilder`] made it.
    fn payload(&self) -> &[u8];
}

/// What waits in the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Backlog {
    /// Rows not published yet, counted up to some thousands.
    pub pending: u64,
    /// The oldest one's age.
    pub age: Duration,
}

/// The relay's view of the store.
pub trait OutboxStore: Send + Sync + 'static {
    /// A row as it is read.
    type Row: OutboxRow;

    /// Takes the lease if it is free or the holder's own; each grant has a higher epoch than the last.
    fn acquire(&self, holder: &str, lease: Duration) -> impl Future<Output = Result<Option<Grant>, StoreError>> + Send;

    /// Prolongs the lease; false if another epoch began.
    fn renew(&self, epoch: i64, lease: Duration) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Gives the lease back early.
    fn release(&self, epoch: i64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All generations in the order of their appearance; the last one is the present cluster's.
    fn generations(&self) -> impl Future<Output = Result<Vec<i64>, StoreError>> + Send;

    /// Frames after the cursor in its generation, at most `max_frames`, and no more once they have `max_bytes`. With
    /// `settled_only`, none whose transaction id isn't below every transaction still running, so that none can appear
    /// before them later.
    fn read(
        &self,
        after: Cursor,
        settled_only: bool,
        max_frames: usize,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;

    /// Moves the cursor and prolongs the lease, if the epoch still holds; keeps a checkpoint when asked to. May be
    /// lost in a crash of the database: then rows are published again.
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

    /// Sets the cursor back after a loss, if the epoch is still current. Deletes the checkpoints above the new cursor
    /// and adds one at the stream's present end, so that checkpoints stay in the same order by sequence and by cursor.
    /// Stores the record of the stream and the losses in the same transaction.
    fn rewind(&self, epoch: i64, rewind: Rewind<'_>) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The stored record of the stream; `None` before the first time.
    fn stream_record(&self) -> impl Future<Output = Result<Option<StreamRecord>, StoreError>> + Send;

    /// Stores the record of the stream, if the epoch is still current. The write may be lost in a crash of the
    /// database: the record is then older, and more is republished.
    fn keep_record(&self, epoch: i64, record: &StreamRecord) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// What waits after the cursor, as it was last moved.
    fn backlog(&self) -> impl Future<Output = Result<Backlog, StoreError>> + Send;
}

/// A message to be set aside.
#[derive(Debug, Clone)]
pub struct Parked {
    /// The message; for an undecodable part of a frame, its bytes as data under an id derived from them.
    pub event: Event,
    /// Why.
    pub reason: String,
    /// Never to be tried again.
    pub dead: bool,
}

/// What one transaction of a consumer writes beside its handler's own rows.
#[derive(Debug, Default)]
pub struct Effects {
    /// Messages for the outbox.
    pub events: Vec<Event>,
    /// Messages to set aside.
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

    /// Inserts inbox rows for these ids of frames or of events (sorted, distinct) and returns those that were new; waits
    /// for rivals that hold the same ids. The rest has been applied or parked before.
    fn claim(
        &self,
        tx: &mut Self::Tx,
        consumer: &'static str,
        ids: &[Uuid],
    ) -> impl Future<Output = Result<Vec<Uuid>, StoreError>> + Send;

    /// Writes outbox and parked rows. A message that is parked already stays as it is. A dead letter's
    /// copy goes to the outbox. Returns how many of the parked are new dead letters.
    fn write(
        &self,
        tx: &mut Self::Tx,
        consumer: &'static str,
        effects: &Effects,
    ) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Sets the savepoint to which [`InboxStore::undo`] goes back.
    fn savepoint(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Checks what the transaction would check only at its end, so that a failure shows now.
    fn check(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Goes back to the last savepoint.
    fn undo(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Rolls back; kinder to the connection than dropping the transaction.
    fn rollback(&self, tx: Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Commits.
    fn commit(&self, tx: Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notifies the relay that a commit has appended something.
    fn wake(&self);
}

/// A parked message whose time has come.
#[derive(Debug, Clone)]
pub struct DueMessage {
    /// The consumer that parked it.
    pub consumer: &'static str,
    /// The message.
    pub event: Event,
    /// Attempts so far, the first delivery among them.
    pub attempts: i32,
}

/// What a failed retry leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this long.
    RetryAfter(Duration),
    /// Give up.
    Bury,
}

/// How many messages are parked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParkedCounts {
    /// To be tried again.
    pub retrying: i64,
    /// Dead letters.
    pub dead: i64,
}

/// The store of parked messages.
pub trait ParkedStore: InboxStore {
    /// Locks one due message of these consumers, passing over those that others have locked.
    fn due(
        &self,
        tx: &mut Self::Tx,
        consumers: &[&'static str],
    ) -> impl Future<Output = Result<Option<DueMessage>, StoreError>> + Send;

    /// Removes the message: it has been applied.
    fn settle(&self, tx: &mut Self::Tx, message: &DueMessage) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Counts a failed attempt; for [`Verdict::Bury`] a copy goes to the outbox. Does nothing if another attempt was
    /// counted meanwhile.
    fn fail(
        &self,
        tx: &mut Self::Tx,
        message: &DueMessage,
        reason: &str,
        verdict: Verdict,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// How many are parked.
    fn counts(&self) -> impl Future<Output = Result<ParkedCounts, StoreError>> + Send;
}
