//! A service's stream and its durable consumers, as its contract declares them.

use flotilla_proto::events::{Consumer, Stream};

/// The stream that a service's relay writes, alone.
#[derive(Debug, Clone, Copy)]
pub struct StreamSpec {
    /// The stream's name, such as `ORDERS`.
    pub name: &'static str,
    /// The subjects it holds; the service's dead-letter subject is added to them.
    pub subjects: &'static [&'static str],
}

/// One durable consumer of a stream.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerSpec {
    /// The durable's name, such as `orders-inventory`; the inbox is keyed by it.
    pub name: &'static str,
    /// The stream it reads, written by another service's relay or by its own.
    pub stream: &'static str,
    /// The subjects it reads; all of the stream's when empty.
    pub subjects: &'static [&'static str],
    /// Full names of the messages that are published on them, as far as that is declared: a handler must know them all.
    pub events: &'static [&'static str],
    /// The most events that one transaction takes, a frame that has more excepted where frames are claimed.
    pub max_events: usize,
}

impl StreamSpec {
    /// A stream as the contract declares it.
    #[must_use]
    pub const fn of(stream: &Stream) -> Self {
        Self { name: stream.name, subjects: stream.subjects }
    }
}

impl ConsumerSpec {
    /// A consumer as the contract declares it, with up to `max_events` in one transaction.
    #[must_use]
    pub const fn of(consumer: &Consumer, max_events: usize) -> Self {
        Self {
            name: consumer.durable,
            stream: consumer.stream.name,
            subjects: consumer.subjects,
            events: consumer.events,
            max_events,
        }
    }
}
