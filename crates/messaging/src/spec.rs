//! A service's stream and its durable consumers, as its contract declares them.

use flotilla_proto::events::{Consumer, Stream};

/// The stream that only a service's relay writes.
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
    /// Full names of the messages that are published on these subjects, as far as declared: a handler must know them
    /// all.
    pub events: &'static [&'static str],
    /// The maximum number of events per transaction; if frames are claimed, a single frame may exceed it.
    pub max_events: usize,
}

impl StreamSpec {
    /// The stream that the contract declares.
    #[must_use]
    pub const fn of(stream: &Stream) -> Self {
        Self { name: stream.name, subjects: stream.subjects }
    }
}

impl ConsumerSpec {
    /// The consumer that the contract declares, with up to `max_events` in one transaction.
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
