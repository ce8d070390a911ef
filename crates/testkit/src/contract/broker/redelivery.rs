//! Acks, naks and the ack wait: which messages are redelivered, when, and to whom.

use std::time::Duration;

use flotilla_messaging::broker::{Broker, Delivery, Subscription};
use tokio::time::Instant;

use super::{ACK_WAIT, READER, SUBJECT, assert_silent, create, message, messages, publish, read, reader, take, text};
use crate::TIMEOUT;

/// Neither after the ack wait nor to a later reader.
pub async fn an_acked_message_is_not_redelivered(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut subscription, 1).await, ["a"]);
    broker.flush().await.unwrap();
    assert_silent(&mut subscription).await;
    drop(subscription);
    let mut later = broker.subscribe(&READER).await.unwrap();
    publish(broker, messages(&["b"])).await;
    assert_eq!(read(&mut later, 1).await, ["b"]);
}

/// After each ack wait, until it is acked.
pub async fn an_unacked_message_is_redelivered(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let started = Instant::now();
    assert!(!take(&mut subscription, 1).await[0].redelivered());
    for _ in 0..2 {
        let again = take(&mut subscription, 1).await;
        assert_eq!((text(&again[0]).as_str(), again[0].redelivered()), ("a", true));
    }
    // Timers of brokers may be a little early.
    assert!(started.elapsed() > ACK_WAIT * 2 - ACK_WAIT / 4, "twice after {:?}", started.elapsed());
}

/// Immediately if the nak has no delay.
pub async fn a_message_is_redelivered_after_a_nak(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    take(&mut subscription, 1).await[0].nak(Duration::from_millis(1)).await.unwrap();
    let again = take(&mut subscription, 1).await;
    assert_eq!((text(&again[0]).as_str(), again[0].redelivered()), ("a", true));
    again[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    assert_silent(&mut subscription).await;
}

/// Even if the delay is longer than the ack wait.
pub async fn a_nak_delays_the_redelivery(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let delay = ACK_WAIT * 2;
    let first = take(&mut subscription, 1).await;
    let started = Instant::now();
    first[0].nak(delay).await.unwrap();
    assert!(take(&mut subscription, 1).await[0].redelivered());
    assert!(started.elapsed() > delay - ACK_WAIT / 4, "redelivered after {:?}", started.elapsed());
}

/// A message that takes longer than the ack wait stays with its reader.
pub async fn progress_extends_the_ack_wait(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let held = take(&mut subscription, 1).await;
    for _ in 0..6 {
        held[0].progress().await.unwrap();
        let arrived = subscription.next(1, ACK_WAIT / 4).await.unwrap();
        assert!(arrived.is_empty(), "it was redelivered while in progress");
    }
    held[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    assert_silent(&mut subscription).await;
}

/// Frames that it had acked aren't redelivered.
pub async fn unacked_messages_of_a_dead_consumer_are_redelivered_to_the_next_one(broker: &impl Broker) {
    create(broker).await;
    publish(broker, messages(&["a", "b"])).await;
    let mut dead = broker.subscribe(&READER).await.unwrap();
    let held = take(&mut dead, 2).await;
    held[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    drop((held, dead));
    let mut next = broker.subscribe(&READER).await.unwrap();
    let arrived = take(&mut next, 1).await;
    assert_eq!((text(&arrived[0]).as_str(), arrived[0].redelivered()), ("b", true));
    arrived[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    assert_silent(&mut next).await;
}

/// As for two replicas of a service: each message goes to one of them.
pub async fn two_readers_of_one_durable_consumer_share_its_messages(broker: &impl Broker) {
    create(broker).await;
    let mut first = broker.subscribe(&READER).await.unwrap();
    let mut second = broker.subscribe(&READER).await.unwrap();
    let wanted: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    publish(broker, wanted.iter().map(|text| message(SUBJECT, text)).collect()).await;
    let mut arrived = Vec::new();
    let end = Instant::now() + TIMEOUT;
    while arrived.len() < wanted.len() {
        for subscription in [&mut first, &mut second] {
            for delivery in subscription.next(2, Duration::from_millis(20)).await.unwrap() {
                delivery.ack().await.unwrap();
                // On a slow machine a message may be redelivered while it waits in the reader's buffer.
                if !delivery.redelivered() {
                    arrived.push(text(&delivery));
                }
            }
        }
        assert!(Instant::now() < end, "{} messages arrived within {TIMEOUT:?}", arrived.len());
    }
    arrived.sort();
    assert_eq!(arrived, wanted);
    assert_eq!(reader(broker).await.name, READER.name);
}
