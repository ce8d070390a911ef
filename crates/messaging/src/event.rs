//! An event in memory: one message with its attributes.
//!
//! On the wire it is a CloudEvent ([`crate::frame`]). Its id is the same on every re-send; the inbox removes duplicates
//! by it.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flotilla_call::{CallContext, Deadline};
use flotilla_clock::unix_millis;
use flotilla_proto::events::Published;
use flotilla_telemetry::{Kind, Span};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A message: an event that happened (past tense) or a command (imperative).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// UUID version 7, the same on every re-send.
    pub id: Uuid,
    /// The full protobuf name with its major version, such as `flotilla.orders.v1.OrderPlaced`.
    pub kind: String,
    /// Its producer, as a URI reference: `/flotilla/orders`. Filled in by the outbox when empty.
    pub source: String,
    /// The NATS subject.
    pub subject: String,
    /// The aggregate it is about, such as `orders/0190...`.
    pub aggregate: String,
    /// The aggregate's version after the event; projections ignore versions lower than those that they have seen.
    pub aggregate_version: i64,
    /// The message that caused this one.
    pub causation_id: Option<Uuid>,
    /// The key by which consumers could be partitioned; the aggregate unless set.
    pub partition_key: String,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// When it happened, in whole milliseconds.
    pub time: SystemTime,
    /// The deadline until which it is useful, in whole milliseconds, if there is one. It doesn't affect delivery: a
    /// late message is delivered, handled and applied once like any other, and no command of a saga is ever dropped
    /// because of it. A handler may check it ([`is_late`](Self::is_late)) to skip work that nobody waits for, and
    /// limits its own calls by it ([`context`](Self::context)).
    pub deadline: Option<SystemTime>,
    /// The encoded protobuf message.
    pub data: Bytes,
}

impl Event {
    /// Wraps a message about the resource `key`, with the subject and aggregate that its contract declares. The source
    /// is filled in by the outbox.
    pub fn new<M: prost::Message + Published>(
        id: Uuid,
        message: &M,
        key: impl Display,
        aggregate_version: i64,
        now: SystemTime,
    ) -> Self {
        Self::on(M::SUBJECT, id, message, format!("{}/{key}", M::AGGREGATE), aggregate_version, now)
    }

    /// Wraps a message that has the same content whenever it is published for `key`, such as the reply to a command
    /// about an order: its id is derived from its type and the key, so that consumers recognise every further one as a
    /// duplicate. The id carries the key's time if the key is a UUID version 7: a consumer that claims events parks it
    /// once the key is older than the inbox's retention. If the key is not a UUID version 7, the id is a UUID version
    /// 8.
    pub fn keyed<M: prost::Message + Published>(
        key: Uuid,
        message: &M,
        about: impl Display,
        aggregate_version: i64,
        now: SystemTime,
    ) -> Self {
        Self::new(id_of_key(&M::full_name(), key), message, about, aggregate_version, now)
    }

    /// Wraps a message whose contract declares no subject.
    pub fn on<M: prost::Message + prost::Name>(
        subject: &str,
        id: Uuid,
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
            time: whole_millis(now),
            deadline: None,
            data: Bytes::from(message.encode_to_vec()),
        }
    }

    /// Sets the message that caused this one, and takes over its trace and, if it is earlier, its deadline.
    #[must_use]
    pub fn caused_by(mut self, cause: &Event) -> Self {
        self.causation_id = Some(cause.id);
        self.traceparent.clone_from(&cause.traceparent);
        self.deadline = self.deadline.into_iter().chain(cause.deadline).min();
        self
    }

    /// Sets the deadline until which it is useful.
    #[must_use]
    pub fn until(mut self, deadline: SystemTime) -> Self {
        self.deadline = Some(whole_millis(deadline));
        self
    }

    /// Sets the deadline of the call that this task serves, if it has one.
    #[must_use]
    pub fn within_call(self, now: SystemTime) -> Self {
        match Deadline::current() {
            Some(deadline) => self.until(now + deadline.remaining()),
            None => self,
        }
    }

    /// Whether its deadline has passed.
    pub fn is_late(&self, now: SystemTime) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// The context for calls that a handler makes because of it: its trace and its remaining time.
    pub fn context(&self, now: SystemTime) -> CallContext {
        let left = |deadline: SystemTime| Deadline::after(deadline.duration_since(now).unwrap_or_default());
        CallContext {
            deadline: self.deadline.map(left),
            traceparent: self.traceparent.as_deref().map(Into::into),
            ..CallContext::default()
        }
    }

    /// A span in its trace for what a service does because of it; `None` if the trace isn't sampled.
    pub fn span(&self, name: &'static str) -> Span {
        Span::follow(Kind::Internal, name, self.traceparent.as_deref())
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

/// A UUID with the key's time, and a hash of type and key in place of the random bits.
fn id_of_key(kind: &str, key: Uuid) -> Uuid {
    let hash = Sha256::new_with_prefix(kind.as_bytes()).chain_update(key.as_bytes()).finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    if key.get_version_num() != 7 {
        return uuid::Builder::from_custom_bytes(bytes).into_uuid();
    }
    bytes[..6].copy_from_slice(&key.as_bytes()[..6]);
    uuid::Builder::from_bytes(bytes)
        .with_version(uuid::Version::SortRand)
        .with_variant(uuid::Variant::RFC4122)
        .into_uuid()
}

fn whole_millis(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_millis(time))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests are told by a panic")]
mod tests {
    use super::*;

    fn event() -> Event {
        let time = flotilla_proto::google::r#type::Money::default();
        Event::on("a.b", Uuid::from_u128(1), &time, "things/1".to_owned(), 1, UNIX_EPOCH)
    }

    fn at(secs: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn an_id_of_a_key_is_the_same_each_time_and_another_for_each_type_and_key() {
        let ids = flotilla_clock::Ids::system();
        let (one, other) = (ids.next(), ids.next());
        assert_eq!(id_of_key("a.Reply", one), id_of_key("a.Reply", one));
        assert_ne!(id_of_key("a.Reply", one), id_of_key("b.Reply", one));
        assert_ne!(id_of_key("a.Reply", one), id_of_key("a.Reply", other));
        assert_eq!(flotilla_clock::time_of(id_of_key("a.Reply", one)), flotilla_clock::time_of(one));
        assert_eq!(id_of_key("a.Reply", Uuid::nil()).get_version_num(), 8);
    }

    #[test]
    fn what_an_event_causes_is_of_use_no_longer_than_it() {
        let cause = event().until(at(10));
        assert_eq!(event().caused_by(&cause).deadline, Some(at(10)));
        assert_eq!(event().until(at(20)).caused_by(&cause).deadline, Some(at(10)));
        assert_eq!(event().until(at(5)).caused_by(&cause).deadline, Some(at(5)));
        assert_eq!(event().caused_by(&event()).deadline, None);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_made_because_of_an_event_have_what_is_left_of_it() {
        let event = event().until(at(10)).traced(Some("00-1-2-01".to_owned()));
        let context = event.context(at(7));
        assert_eq!(context.deadline.unwrap().remaining(), Duration::from_secs(3));
        assert_eq!(context.traceparent.as_deref(), Some("00-1-2-01"));
        assert!(!event.is_late(at(9)) && event.is_late(at(10)));
        assert_eq!(event.context(at(11)).deadline.unwrap().remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_of_a_call_may_be_of_use_as_long_as_the_call() {
        let context = CallContext { deadline: Some(Deadline::after(Duration::from_secs(3))), ..Default::default() };
        let deadline = context.scope(async { event().within_call(at(7)).deadline }).await;
        assert_eq!(deadline, Some(at(10)));
        assert_eq!(event().within_call(at(7)).deadline, None);
    }
}
