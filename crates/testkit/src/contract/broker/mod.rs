//! The behaviours of every [`Broker`]. Each runs on a broker, or an account of one, of its own, so all use the same names
//! of streams, subjects and durable consumers.

mod connection;
mod consuming;
mod publishing;
mod redelivery;
mod streams;

use std::time::Duration;

use bytes::Bytes;
use flotilla_clock::Ids;
use flotilla_messaging::ConsumerSpec;
use flotilla_messaging::broker::{Broker, ConsumerState, Delivery, StreamConfig, StreamState, Subscription};
use flotilla_messaging::frame::{FramePart, Message};
use tokio::time::Instant;

use crate::TIMEOUT;

pub use connection::*;
pub use consuming::*;
pub use publishing::*;
pub use redelivery::*;
pub use streams::*;

/// The ack wait of a broker under test.
pub const ACK_WAIT: Duration = Duration::from_secs(2);
/// How long to wait for a message that must not arrive. Longer than the ack wait, so that a redelivery would be noticed.
const SILENCE: Duration = Duration::from_secs(3);

const STREAM: &str = "CONTRACT";
const SUBJECT: &str = "contract.events";
const OTHER: &str = "contract.others";
const ADDED: &str = "contract.added";
const READER: ConsumerSpec =
    ConsumerSpec { name: "contract-reader", stream: STREAM, subjects: &[SUBJECT], events: &[], max_events: 64 };

fn config(subjects: &[&str]) -> StreamConfig {
    StreamConfig { name: STREAM, subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect() }
}

async fn create(broker: &impl Broker) -> StreamState {
    broker.ensure_stream(&config(&[SUBJECT, OTHER])).await.unwrap()
}

/// A message of one frame.
fn message(subject: &str, payload: &str) -> Message {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    let frames = vec![FramePart { id: Ids::system().next(), bytes: payload.len() }];
    Message { subject: subject.to_owned(), frames, events: 1, payload }
}

fn messages(payloads: &[&str]) -> Vec<Message> {
    payloads.iter().map(|payload| message(SUBJECT, payload)).collect()
}

/// Publishes at the stream's end.
async fn publish(broker: &impl Broker, messages: Vec<Message>) -> Vec<u64> {
    let last = broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence;
    broker.publish(STREAM, last, messages).await.unwrap()
}

fn text(delivery: &impl Delivery) -> String {
    String::from_utf8(delivery.payload().to_vec()).unwrap()
}

/// Reads `count` messages.
async fn take<S: Subscription>(subscription: &mut S, count: usize) -> Vec<S::Delivery> {
    let end = Instant::now() + TIMEOUT;
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(subscription.next(count - taken.len(), Duration::from_secs(1)).await.unwrap());
        assert!(Instant::now() < end, "{} of {count} messages arrived within {TIMEOUT:?}", taken.len());
    }
    taken
}

/// Reads `count` messages, acks them, and returns their payloads.
async fn read(subscription: &mut impl Subscription, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for delivery in take(subscription, count).await {
        delivery.ack().await.unwrap();
        texts.push(text(&delivery));
    }
    texts
}

async fn assert_silent(subscription: &mut impl Subscription) {
    let arrived = subscription.next(1, SILENCE).await.unwrap();
    assert!(arrived.is_empty(), "{} arrived", text(&arrived[0]));
}

async fn reader(broker: &impl Broker) -> ConsumerState {
    let consumers = broker.consumers(STREAM).await.unwrap();
    assert_eq!(consumers.len(), 1, "{consumers:?}");
    consumers.into_iter().next().unwrap()
}
