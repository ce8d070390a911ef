//! Frames: batches of events of one subject in CloudEvents' protobuf format (`io.cloudevents.v1.CloudEventBatch`).
//!
//! An event is encoded once, when it is appended to the outbox, as a batch of one. Encoded protobuf messages
//! concatenate, so the relay makes a frame by copying such batches one after the other. Coding is by hand: the
//! generated types would allocate a map and a dozen strings for each event.
//!
//! CloudEvents attributes: `id`, `source`, `specversion` and `type` in their own fields; `time` as a timestamp, and so
//! the extension `deadline`, where there is one; the extensions `aggregate`, `aggregateversion`, `partitionkey`,
//! `causationid` and `traceparent` as strings. The data is `binary_data`.
//!
//! Frames are bounded in bytes and in events, when encoded and when decoded. A frame over a bound is undecodable as a
//! whole; this is detected before anything is allocated for its events.

mod decode;
mod encode;
mod pack;
mod trace;

use bytes::Bytes;

pub use decode::{Undecodable, decode};
pub use encode::encode;
pub use pack::Packer;
pub(crate) use trace::sampled_traceparent;

/// A frame is closed before it would grow beyond this; a single larger event goes alone.
pub const MAX_FRAME_BYTES: usize = 64 * 1_024;
/// The most events in a frame. An encoded event takes more than 64 bytes, so a full frame of the smallest events has
/// about the maximum size, and a frame with more events wasn't produced by this crate. The limit bounds the memory of a
/// decoded frame: some hundred bytes an event.
pub const MAX_FRAME_EVENTS: usize = 1_024;
/// The most bytes of an attribute of an event, such as its type or its aggregate. They are copied into a dead letter, which
/// must fit into a message.
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

/// One broker message to be: a subject and its events.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The subject of all events inside.
    pub subject: String,
    /// The encoded batch.
    pub payload: Bytes,
    /// How many events are inside.
    pub events: usize,
}
