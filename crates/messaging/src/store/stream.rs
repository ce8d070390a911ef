//! What a store records about the relay's stream: its end, checkpoints, missing messages, and the consumers' ack
//! floors.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Cursor;
use crate::ranges::Ranges;

/// The stream's state at a cursor: its creation time (nanoseconds since 1970) and its highest acked sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamMark {
    /// The stream's creation.
    pub created: i64,
    /// The highest acked sequence.
    pub sequence: u64,
}

/// A checkpoint: everything up to the cursor is in the stream at or below the sequence, everything after it above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The sequence.
    pub sequence: u64,
    /// The position in the outbox.
    pub cursor: Cursor,
}

/// What the relay knows about its stream's messages and consumers.
#[derive(Debug, Clone, Default)]
pub struct StreamRecord {
    /// The stream's creation.
    pub created: i64,
    /// Sequences that the stream doesn't hold and that have been handled.
    pub gone: Ranges,
    /// Sequences whose messages were republished at higher ones: their loss doesn't matter.
    pub covered: Ranges,
    /// The number of deleted messages if they are too many to be listed in `gone`; zero if all are listed.
    pub unlisted: u64,
    /// The stream's durable consumers by name.
    pub consumers: BTreeMap<String, KnownConsumer>,
}

/// A durable consumer as it was when the stream was last seen without a new loss.
#[derive(Debug, Clone, Copy)]
pub struct KnownConsumer {
    /// The consumer's creation (nanoseconds since 1970).
    pub created: i64,
    /// It had acked everything up to this sequence.
    pub floor: u64,
    /// When it was seen.
    pub seen: Instant,
}

/// Messages that a consumer had not acked and that neither stream nor outbox holds any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerLoss {
    /// The consumer.
    pub consumer: String,
    /// The lowest sequence.
    pub first: u64,
    /// The highest sequence.
    pub last: u64,
}

/// Where the relay goes back to.
#[derive(Debug, Clone)]
pub struct Rewind<'a> {
    /// The position in the outbox, and the sequence at or below which the stream holds everything up to it.
    pub to: Checkpoint,
    /// The current state of the stream: later publications get higher sequences.
    pub stream: StreamMark,
    /// The new record of the stream.
    pub record: &'a StreamRecord,
    /// The losses that can't be republished.
    pub losses: &'a [ConsumerLoss],
    /// The creation time of the stream that the losses were in.
    pub lost_from: i64,
}
