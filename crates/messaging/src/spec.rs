//! What a service declares: its stream and its durable consumers.

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
    /// The most events that one transaction takes.
    pub max_events: usize,
}
