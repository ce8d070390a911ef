//! Durable consumers: what they read, in which order, and what the broker reports about them.

use std::time::Duration;

use bytes::Bytes;
use flotilla_clock::Ids;
use flotilla_messaging::broker::{Broker, Delivery, Subscription};
use flotilla_messaging::frame::{FramePart, Message};
use flotilla_messaging::{BrokerError, ConsumerSpec};
use tokio::time::Instant;

use super::{
    OTHER, READER, STREAM, SUBJECT, assert_silent, create, message, messages, publish, read, reader, take, text,
};
use crate::{TIMEOUT, eventually};

/// With an error; no durable consumer is created.
pub async fn a_consumer_of_a_stream_that_does_not_exist_is_refused(broker: &impl Broker) {
    assert!(broker.subscribe(&READER).await.is_err());
    create(broker).await;
    assert_eq!(broker.consumers(STREAM).await.unwrap(), []);
}

/// Including messages published before the consumer existed.
pub async fn a_consumer_reads_all_messages_in_order(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a", "b"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    publish(broker, messages(&["c", "d", "e"])).await;
    assert_eq!(read(&mut subscription, 5).await, ["a", "b", "c", "d", "e"]);
}

/// With the same bytes and subject, and not as a redelivery.
pub async fn a_message_arrives_as_it_was_published(broker: &impl Broker) {
    create(broker).await;
    let payload: Bytes = (0..=u8::MAX).cycle().take(64 * 1_024).collect();
    let frames: Vec<FramePart> = [1_024, 63 * 1_024].map(|bytes| FramePart { id: Ids::system().next(), bytes }).into();
    let (subject, sent) = (SUBJECT.to_owned(), frames.clone());
    publish(broker, vec![Message { subject, frames: sent, events: 2, payload: payload.clone() }]).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let arrived = take(&mut subscription, 1).await;
    assert!(*arrived[0].payload() == payload, "the payload differs");
    assert_eq!((arrived[0].subject(), arrived[0].redelivered()), (SUBJECT, false));
    assert_eq!(arrived[0].frames(), Some(frames));
}

/// A consumer without subjects reads all subjects of the stream.
pub async fn a_consumer_reads_only_its_own_subjects(broker: &impl Broker) {
    create(broker).await;
    publish(broker, vec![message(OTHER, "a"), message(SUBJECT, "b"), message(OTHER, "c"), message(SUBJECT, "d")]).await;
    let mut own = broker.subscribe(&READER).await.unwrap();
    let all = ConsumerSpec { name: "contract-all", subjects: &[], ..READER };
    let mut all = broker.subscribe(&all).await.unwrap();
    assert_eq!(read(&mut own, 2).await, ["b", "d"]);
    assert_eq!(read(&mut all, 4).await, ["a", "b", "c", "d"]);
    assert_silent(&mut own).await;
}

/// As for a later version of a service that reads more subjects under the same name; it continues at its position.
pub async fn subjects_can_be_added_to_a_consumer(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let mut old = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut old, 1).await, ["a"]);
    broker.flush().await.unwrap();
    drop(old);
    let more = ConsumerSpec { subjects: &[SUBJECT, OTHER], ..READER };
    let mut new = broker.subscribe(&more).await.unwrap();
    publish(broker, vec![message(OTHER, "b"), message(SUBJECT, "c")]).await;
    assert_eq!(read(&mut new, 2).await, ["b", "c"]);
}

/// The next call returns the rest.
pub async fn a_read_returns_at_most_the_requested_number_of_messages(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a", "b", "c"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let arrived = subscription.next(1, TIMEOUT).await.unwrap();
        assert_eq!(arrived.len(), 1);
        arrived[0].ack().await.unwrap();
        texts.push(text(&arrived[0]));
    }
    assert_eq!(texts, ["a", "b", "c"]);
}

/// Without an error, after the whole wait.
pub async fn a_read_of_an_empty_stream_returns_nothing(broker: &impl Broker) {
    create(broker).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let started = Instant::now();
    assert!(subscription.next(8, Duration::from_millis(200)).await.unwrap().is_empty());
    assert!(started.elapsed() >= Duration::from_millis(200), "it returned after {:?}", started.elapsed());
}

/// As for two services: an ack of one doesn't affect the other.
pub async fn two_durable_consumers_each_read_everything(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a", "b"])).await;
    let mut first = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut first, 2).await, ["a", "b"]);
    let mut second = broker.subscribe(&ConsumerSpec { name: "contract-second", ..READER }).await.unwrap();
    assert_eq!(read(&mut second, 2).await, ["a", "b"]);
    let mut names: Vec<String> =
        broker.consumers(STREAM).await.unwrap().into_iter().map(|consumer| consumer.name).collect();
    names.sort();
    assert_eq!(names, [READER.name, "contract-second"]);
}

/// Waiting or unacked messages keep it from being idle and hold its ack floor back.
pub async fn a_consumer_that_has_acked_everything_is_idle(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a", "b", "c"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let created = reader(broker).await.created;
    let held = take(&mut subscription, 3).await;
    held[0].ack().await.unwrap();
    eventually("the first is acked", TIMEOUT, || async { reader(broker).await.floor == 1 }).await;
    assert!(!reader(broker).await.idle);
    for delivery in &held[1..] {
        delivery.ack().await.unwrap();
    }
    eventually("all are acked", TIMEOUT, || async { reader(broker).await.idle }).await;
    let state = reader(broker).await;
    assert_eq!((state.name.as_str(), state.created, state.floor), (READER.name, created, 3));
}

/// The error makes the consumer subscribe again.
pub async fn a_read_fails_after_its_stream_was_deleted(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut subscription, 1).await, ["a"]);
    broker.delete_stream(STREAM).await.unwrap();
    assert!(matches!(gone(&mut subscription).await, BrokerError::ConsumerGone(_)));
}

/// Their reads fail; the stream keeps its messages.
pub async fn a_recreated_consumer_starts_at_the_first_message(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a", "b"])).await;
    let mut old = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut old, 2).await, ["a", "b"]);
    let before = reader(broker).await.created;
    broker.delete_consumers(STREAM).await.unwrap();
    assert_eq!(broker.consumers(STREAM).await.unwrap(), []);
    assert!(matches!(gone(&mut old).await, BrokerError::ConsumerGone(_)));
    let mut new = broker.subscribe(&READER).await.unwrap();
    assert!(reader(broker).await.created > before);
    assert_eq!(read(&mut new, 2).await, ["a", "b"]);
}

/// Waits for the error that a reader gets.
async fn gone(subscription: &mut impl Subscription) -> BrokerError {
    let end = Instant::now() + TIMEOUT;
    loop {
        match subscription.next(1, Duration::from_secs(1)).await {
            Err(error) => return error,
            Ok(_) => assert!(Instant::now() < end, "no error within {TIMEOUT:?}"),
        }
    }
}
