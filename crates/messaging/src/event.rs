//! The event: one message with everything the fleet needs to know about it, in memory.
//!
//! On the wire it is a CloudEvent ([`crate::frame`]). Its id is stable over every re-send; the inbox removes repeats
//! by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use uuid::Uuid;

use crate::ids::unix_millis;

/// A message: an event that happened (past tense) or a command (imperative).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// UUID version 7, the same on every re-send.
    pub id: Uuid,
    /// The full protobuf name with its major version, such as `flotilla.orders.v1.OrderPlaced`.
    pub kind: String,
    /// Who said it, as a URI reference: `/flotilla/orders`. Filled in by the outbox when empty.
    pub source: String,
    /// The NATS subject.
    pub subject: String,
    /// The thing it is about, such as `orders/0190...`.
    pub aggregate: String,
    /// The aggregate's version after it; projections ignore lower ones than they have seen.
    pub aggregate_version: i64,
    /// The message that caused this one.
    pub causation_id: Option<Uuid>,
    /// What partitions of consumers would be cut by; the aggregate unless set.
    pub partition_key: String,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// When it happened, in whole milliseconds.
    pub time: SystemTime,
    /// The encoded protobuf message.
    pub data: Bytes,
}

impl Event {
    /// Wraps a message. The source is filled in by the outbox.
    pub fn new<M: prost::Message + prost::Name>(
        id: Uuid,
        subject: &'static str,
        message: &M,
        aggregate: String,
        aggregate_version: i64,
        now: SystemTime,
    ) -> Self {
        Self {
            id,
            kind: M::full_name(),
            source: String::new(),
            subject: subject.to_owned(),
            partition_key: aggregate.clone(),
            aggregate,
            aggregate_version,
            causation_id: None,
            traceparent: None,
            time: UNIX_EPOCH + Duration::from_millis(unix_millis(now)),
            data: Bytes::from(message.encode_to_vec()),
        }
    }

    /// Names the message that this one answers or follows, and goes on in its trace.
    #[must_use]
    pub fn caused_by(mut self, cause: &Event) -> Self {
        self.causation_id = Some(cause.id);
        self.traceparent.clone_from(&cause.traceparent);
        self
    }

    /// Sets the trace context.
    #[must_use]
    pub fn traced(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// The message inside.
    ///
    /// # Errors
    /// If the bytes aren't an `M`.
    pub fn decode<M: prost::Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(self.data.clone())
    }

    /// Whether the message inside is an `M`. Allocates nothing.
    pub fn is<M: prost::Name>(&self) -> bool {
        match self.kind.strip_prefix(M::PACKAGE).and_then(|rest| rest.strip_prefix('.')) {
            Some(name) => name == M::NAME,
            None => M::PACKAGE.is_empty() && self.kind == M::NAME,
        }
    }
}
