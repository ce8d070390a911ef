//! Frames, the unit of the log: immutable batches of events of one subject in CloudEvents' protobuf format
//! (`io.cloudevents.v1.CloudEventBatch`).
//!
//! A transaction's events are encoded once, into frames, when they are appended to the outbox ([`FrameBuilder`]): one
//! row per frame. Encoded protobuf messages concatenate, so the relay makes a broker message by copying frames of one
//! subject one after the other ([`Packer`]); the header [`FRAMES_HEADER`] says which frames the message holds and how
//! long each is. To other readers the message is one batch of events. The codec is hand-written, because the generated
//! types would allocate a map and a dozen strings for each event.
//!
//! CloudEvents attributes: `id`, `source`, `specversion` and `type` in their own fields; `time` and the optional
//! extension `deadline` as timestamps; the extensions `aggregate`, `aggregateversion`, `partitionkey` (if it isn't the
//! aggregate), `causationid` and `traceparent` as strings. The data is `binary_data`.
//!
//! Frames and messages are bounded in bytes and in events, when encoded and when decoded. A message over a bound is
//! undecodable as a whole; this is detected before anything is allocated for its events.

mod builder;
mod decode;
mod encode;
mod header;
mod pack;
mod trace;

use bytes::Bytes;
use uuid::Uuid;

pub use builder::FrameBuilder;
pub use decode::{Undecodable, decode, is_within_bounds};
pub use encode::encode;
pub use header::{FRAMES_HEADER, FramePart, parse_frames, write_frames};
pub use pack::{Message, Packer};
pub(crate) use trace::sampled_traceparents;

/// The maximum size of a frame; a single larger event gets a frame of its own. A frame of this size fits into its row,
/// which PostgreSQL otherwise cuts into pieces of 2 kB in another table.
pub const MAX_FRAME_BYTES: usize = 7_900;
/// The maximum size of a message; a single larger frame gets a message of its own.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1_024;
/// The maximum number of events in a message. An encoded event takes more than 64 bytes, so a full message of the
/// smallest events has about the maximum size, and one with more events wasn't produced by this crate. The limit bounds
/// the memory of a decoded message: a few hundred bytes per event.
pub const MAX_MESSAGE_EVENTS: usize = 1_024;
/// The maximum size in bytes of an event's attribute, such as its type or its aggregate. Attributes are copied into a
/// dead letter, which must fit into a message.
pub const MAX_ATTRIBUTE_BYTES: usize = 1_024;

// Field numbers of `io.cloudevents.v1`.
const BATCH_EVENTS: u8 = 1;
const EVENT_ID: u8 = 1;
const EVENT_SOURCE: u8 = 2;
const EVENT_SPEC_VERSION: u8 = 3;
const EVENT_TYPE: u8 = 4;
const EVENT_ATTRIBUTES: u8 = 5;
const EVENT_BINARY_DATA: u8 = 6;
const VALUE_STRING: u8 = 3;
const VALUE_TIMESTAMP: u8 = 7;

/// A batch of events of one subject: a row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The frame's own UUID version 7: the same event in another frame doesn't make it the same frame.
    pub id: Uuid,
    /// The subject of all events inside.
    pub subject: String,
    /// How many events are inside.
    pub events: usize,
    /// The encoded batch.
    pub payload: Bytes,
}
