//! The interface to the broker: streams, messages with acks, durable pull consumers, and pings that aren't stored.
//!
//! [`nats`] implements it for production; the testkit implements it in memory for simulation.

pub mod nats;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::error::BrokerError;
use crate::frame::{FramePart, Message};
use crate::ranges::Ranges;
use crate::spec::ConsumerSpec;
use crate::store::StreamMark;

/// The stream that the relay needs.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Its name.
    pub name: &'static str,
    /// The subjects it holds.
    pub subjects: Vec<String>,
}

/// The state of a stream as the broker reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// Its creation and last sequence.
    pub mark: StreamMark,
    /// The first sequence; everything below it is gone. One above the last sequence if the stream is empty.
    pub first: u64,
    /// The number of missing sequences between the first and the last.
    pub deleted: u64,
}

/// A durable consumer as the broker reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerState {
    /// Its name.
    pub name: String,
    /// Its creation (nanoseconds since 1970).
    pub created: i64,
    /// The ack floor. After a loss it doesn't prove acks: the server also advances it past messages that are gone.
    pub floor: u64,
    /// Whether nothing is pending: everything that the stream holds has been delivered and acked.
    pub idle: bool,
}

/// The broker.
pub trait Broker: Clone + Send + Sync + 'static {
    /// A durable consumer being read.
    type Subscription: Subscription;
    /// A subscription to pings.
    type Pings: Pings;

    /// Creates the stream if it doesn't exist; never touches its messages. Returns its state.
    fn ensure_stream(&self, stream: &StreamConfig) -> impl Future<Output = Result<StreamState, BrokerError>> + Send;

    /// The state of the stream; `None` if it doesn't exist.
    fn stream_state(&self, stream: &str) -> impl Future<Output = Result<Option<StreamState>, BrokerError>> + Send;

    /// The missing sequences between the stream's first and last. The cost grows with their number.
    fn deleted(&self, stream: &str) -> impl Future<Output = Result<Ranges, BrokerError>> + Send;

    /// The stream's durable consumers; a missing stream has none.
    fn consumers(&self, stream: &str) -> impl Future<Output = Result<Vec<ConsumerState>, BrokerError>> + Send;

    /// Deletes the stream with its messages and consumers; a missing stream is not an error.
    fn delete_stream(&self, stream: &str) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Tests whether the broker can store messages: stores one of `bytes` in a temporary stream with `subject`, then
    /// deletes that stream.
    fn probe(&self, subject: &str, bytes: usize) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Publishes all messages without waiting in between, then awaits all acks; returns the messages' sequences. The
    /// stream's last sequence must be `last` before the first message, `last + 1` before the second and so on; else the
    /// message is refused and the call fails, so that a stream that lost its tail accepts none of them. (Zero need not
    /// be checked: nothing was acked in such a stream.) After an error any of them may have been stored.
    fn publish(
        &self,
        stream: &str,
        last: u64,
        messages: Vec<Message>,
    ) -> impl Future<Output = Result<Vec<u64>, BrokerError>> + Send;

    /// Deletes all durable consumers of the stream; a missing stream has none.
    fn delete_consumers(&self, stream: &str) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Creates the durable consumer, starting at the stream's first message, unless it exists, and subscribes to it.
    fn subscribe(&self, spec: &ConsumerSpec) -> impl Future<Output = Result<Self::Subscription, BrokerError>> + Send;

    /// Sends a ping; it may be lost.
    fn ping(&self, subject: &str, payload: Bytes) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Subscribes to pings.
    fn pings(&self, subject: &str) -> impl Future<Output = Result<Self::Pings, BrokerError>> + Send;

    /// Flushes what is still buffered, such as acks.
    fn flush(&self) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Whether the broker is connected and usable. Makes no request.
    fn is_up(&self) -> bool;
}

/// A durable consumer being read. Messages that are nak'ed, or not acked within the ack wait, are redelivered.
pub trait Subscription: Send {
    /// The type of a delivered message.
    type Delivery: Delivery;

    /// Waits up to `wait` for a message and takes up to `max_messages` that are available; none if the wait is over.
    fn next(
        &mut self,
        max_messages: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Self::Delivery>, BrokerError>> + Send;
}

/// One delivered message.
pub trait Delivery: Send + Sync {
    /// The encoded events.
    fn payload(&self) -> &Bytes;
    /// Which frames these are; `None` if the message doesn't say, like those of foreign writers and of earlier
    /// releases.
    fn frames(&self) -> Option<Vec<FramePart>>;
    /// Its subject.
    fn subject(&self) -> &str;
    /// Whether it is a redelivery.
    fn redelivered(&self) -> bool;
    /// Acks the message: it has been processed.
    fn ack(&self) -> impl Future<Output = Result<(), BrokerError>> + Send;
    /// Naks the message: it is redelivered after this delay.
    fn nak(&self, delay: Duration) -> impl Future<Output = Result<(), BrokerError>> + Send;
    /// Reports progress: restarts the ack wait.
    fn progress(&self) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

/// A subscription to pings.
pub trait Pings: Send {
    /// The next ping. Never ends; while the broker is unavailable there are none.
    fn next(&mut self) -> impl Future<Output = Bytes> + Send;
}
