//! What every [`Broker`] does. Streams, subjects and durables have the same names in all behaviours: each runs on a
//! broker, or an account of one, that nobody else uses.

use std::time::Duration;

use bytes::Bytes;
use flotilla_messaging::broker::{Broker, ConsumerState, Delivery, Pings, StreamConfig, StreamState, Subscription};
use flotilla_messaging::frame::Frame;
use flotilla_messaging::ranges::Ranges;
use flotilla_messaging::{BrokerError, ConsumerSpec};
use tokio::time::Instant;

use crate::{PATIENCE, eventually};

/// The ack wait of a broker under test.
pub const ACK_WAIT: Duration = Duration::from_secs(2);
/// How long a frame that must not come is waited for. Longer than the ack wait, so that a redelivery would show.
const SILENCE: Duration = Duration::from_secs(3);
/// More than any broker takes in one message.
const TOO_LARGE: usize = 16 * 1_024 * 1_024;

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

fn frame(subject: &str, payload: &str) -> Frame {
    Frame { subject: subject.to_owned(), payload: Bytes::copy_from_slice(payload.as_bytes()), events: 1 }
}

fn frames(payloads: &[&str]) -> Vec<Frame> {
    payloads.iter().map(|payload| frame(SUBJECT, payload)).collect()
}

/// Publishes at the stream's end.
async fn publish(broker: &impl Broker, frames: Vec<Frame>) -> Vec<u64> {
    let last = broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence;
    broker.publish(STREAM, last, frames).await.unwrap()
}

fn text(delivery: &impl Delivery) -> String {
    String::from_utf8(delivery.payload().to_vec()).unwrap()
}

/// Takes frames until there are `count`.
async fn take<S: Subscription>(subscription: &mut S, count: usize) -> Vec<S::Delivery> {
    let end = Instant::now() + PATIENCE;
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.extend(subscription.next(count - taken.len(), Duration::from_secs(1)).await.unwrap());
        assert!(Instant::now() < end, "{} of {count} frames came within {PATIENCE:?}", taken.len());
    }
    taken
}

/// Takes frames and acks them; says what they hold.
async fn read(subscription: &mut impl Subscription, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for delivery in take(subscription, count).await {
        delivery.ack().await.unwrap();
        texts.push(text(&delivery));
    }
    texts
}

async fn assert_silent(subscription: &mut impl Subscription) {
    let came = subscription.next(1, SILENCE).await.unwrap();
    assert!(came.is_empty(), "{} came", text(&came[0]));
}

async fn reader(broker: &impl Broker) -> ConsumerState {
    let consumers = broker.consumers(STREAM).await.unwrap();
    assert_eq!(consumers.len(), 1, "{consumers:?}");
    consumers.into_iter().next().unwrap()
}

/// It ends at sequence zero, begins at one and lacks nothing.
pub async fn a_new_stream_is_empty(broker: &impl Broker) {
    let state = create(broker).await;
    assert_eq!((state.mark.sequence, state.first, state.deleted), (0, 1, 0));
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), Some(state));
}

/// A second creation finds the first one's stream.
pub async fn a_stream_is_created_once_and_keeps_its_messages(broker: &impl Broker) {
    let new = create(broker).await;
    publish(broker, frames(&["a", "b"])).await;
    let found = create(broker).await;
    assert_eq!((found.mark.created, found.mark.sequence, found.first), (new.mark.created, 2, 1));
}

/// Subjects that are added to a stream's configuration are accepted from then on; the messages stay.
pub async fn a_stream_takes_on_added_subjects(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let state = broker.ensure_stream(&config(&[SUBJECT, OTHER, ADDED])).await.unwrap();
    assert_eq!(state.mark.sequence, 1);
    assert_eq!(publish(broker, vec![frame(ADDED, "b")]).await, [2]);
}

/// It can also be deleted, with its consumers, without an error.
pub async fn a_stream_that_does_not_exist_has_no_state_and_no_consumers(broker: &impl Broker) {
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), None);
    assert_eq!(broker.consumers(STREAM).await.unwrap(), []);
    broker.delete_consumers(STREAM).await.unwrap();
    broker.delete_stream(STREAM).await.unwrap();
}

/// The next stream of that name is another one, which its creation shows.
pub async fn a_deleted_stream_takes_its_messages_and_consumers_along(broker: &impl Broker) {
    let old = create(broker).await;
    publish(broker, frames(&["a"])).await;
    drop(broker.subscribe(&READER).await.unwrap());
    broker.delete_stream(STREAM).await.unwrap();
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), None);
    let new = create(broker).await;
    assert_eq!((new.mark.sequence, new.first), (0, 1));
    assert!(new.mark.created > old.mark.created, "{new:?} after {old:?}");
    assert_eq!(broker.consumers(STREAM).await.unwrap(), []);
}

/// The sequences say where each frame stands.
pub async fn frames_get_consecutive_sequences(broker: &impl Broker) {
    create(broker).await;
    assert_eq!(broker.publish(STREAM, 0, frames(&["a", "b", "c"])).await.unwrap(), [1, 2, 3]);
    assert_eq!(broker.publish(STREAM, 3, frames(&["d"])).await.unwrap(), [4]);
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 4);
}

/// Too high a number, as after the loss of a tail, and too low a one, as after a foreign writer.
pub async fn a_wrong_last_sequence_is_refused(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a", "b"])).await;
    for wrong in [1, 3, 9] {
        let refused = broker.publish(STREAM, wrong, frames(&["c"])).await;
        assert!(matches!(refused, Err(BrokerError::WrongLastSequence(_))), "{wrong}: {refused:?}");
    }
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 2);
    assert_eq!(broker.publish(STREAM, 2, frames(&["c"])).await.unwrap(), [3]);
}

/// A stream that lost its tail takes none of the frames that were to follow.
pub async fn a_wrong_last_sequence_stores_none_of_several_frames(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let refused = broker.publish(STREAM, 5, frames(&["b", "c", "d"])).await;
    assert!(matches!(refused, Err(BrokerError::WrongLastSequence(_))), "{refused:?}");
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 1);
}

/// The error says that the stream is missing, which the relay answers by creating it.
pub async fn a_stream_that_does_not_exist_is_not_published_to(broker: &impl Broker) {
    let refused = broker.publish(STREAM, 0, frames(&["a"])).await;
    assert!(matches!(refused, Err(BrokerError::NoStream(_))), "{refused:?}");
}

/// No stream holds the subject.
pub async fn an_unknown_subject_is_refused(broker: &impl Broker) {
    create(broker).await;
    let refused = broker.publish(STREAM, 0, vec![frame("elsewhere.events", "a")]).await;
    assert!(matches!(refused, Err(BrokerError::NoStream(_))), "{refused:?}");
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 0);
}

/// Such a frame is refused for good: another attempt would end the same way.
pub async fn a_frame_beyond_the_brokers_limit_is_refused(broker: &impl Broker) {
    create(broker).await;
    let refused = broker.publish(STREAM, 0, frames(&[&"x".repeat(TOO_LARGE)])).await;
    assert!(matches!(refused, Err(BrokerError::Refused(_))), "{refused:?}");
    assert_eq!(broker.stream_state(STREAM).await.unwrap().unwrap().mark.sequence, 0);
}

/// It stores in a stream of its own, which goes with it.
pub async fn a_probe_leaves_nothing_behind(broker: &impl Broker) {
    let before = create(broker).await;
    for _ in 0..2 {
        broker.probe("contract.probe", 1_024).await.unwrap();
    }
    assert_eq!(broker.stream_state(STREAM).await.unwrap(), Some(before));
    let refused = broker.publish(STREAM, 0, vec![frame("contract.probe", "a")]).await;
    assert!(matches!(refused, Err(BrokerError::NoStream(_))), "{refused:?}");
}

/// It is an error, and no durable is left.
pub async fn a_consumer_of_a_stream_that_does_not_exist_is_refused(broker: &impl Broker) {
    assert!(broker.subscribe(&READER).await.is_err());
    create(broker).await;
    assert_eq!(broker.consumers(STREAM).await.unwrap(), []);
}

/// Whatever was published before it existed, too.
pub async fn a_consumer_reads_from_the_first_message_on_and_in_order(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a", "b"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    publish(broker, frames(&["c", "d", "e"])).await;
    assert_eq!(read(&mut subscription, 5).await, ["a", "b", "c", "d", "e"]);
}

/// Byte for byte, under its subject, and not as a redelivery.
pub async fn a_frame_arrives_as_it_was_published(broker: &impl Broker) {
    create(broker).await;
    let payload: Bytes = (0..=u8::MAX).cycle().take(64 * 1_024).collect();
    publish(broker, vec![Frame { subject: SUBJECT.to_owned(), payload: payload.clone(), events: 1 }]).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let came = take(&mut subscription, 1).await;
    assert!(*came[0].payload() == payload, "the payload differs");
    assert_eq!((came[0].subject(), came[0].redelivered()), (SUBJECT, false));
}

/// Without subjects it reads all of the stream's.
pub async fn a_consumer_reads_its_own_subjects_alone(broker: &impl Broker) {
    create(broker).await;
    publish(broker, vec![frame(OTHER, "a"), frame(SUBJECT, "b"), frame(OTHER, "c"), frame(SUBJECT, "d")]).await;
    let mut own = broker.subscribe(&READER).await.unwrap();
    let all = ConsumerSpec { name: "contract-all", subjects: &[], ..READER };
    let mut all = broker.subscribe(&all).await.unwrap();
    assert_eq!(read(&mut own, 2).await, ["b", "d"]);
    assert_eq!(read(&mut all, 4).await, ["a", "b", "c", "d"]);
    assert_silent(&mut own).await;
}

/// A later version of a service reads more subjects under the same name, from where it stands.
pub async fn a_consumer_takes_on_added_subjects(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let mut old = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut old, 1).await, ["a"]);
    broker.flush().await.unwrap();
    drop(old);
    let more = ConsumerSpec { subjects: &[SUBJECT, OTHER], ..READER };
    let mut new = broker.subscribe(&more).await.unwrap();
    publish(broker, vec![frame(OTHER, "b"), frame(SUBJECT, "c")]).await;
    assert_eq!(read(&mut new, 2).await, ["b", "c"]);
}

/// What is left comes with the next call.
pub async fn no_more_frames_are_taken_than_asked_for(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a", "b", "c"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let came = subscription.next(1, PATIENCE).await.unwrap();
        assert_eq!(came.len(), 1);
        came[0].ack().await.unwrap();
        texts.push(text(&came[0]));
    }
    assert_eq!(texts, ["a", "b", "c"]);
}

/// The wait ends when its time is up, without an error.
pub async fn nothing_comes_of_an_empty_stream(broker: &impl Broker) {
    create(broker).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let started = Instant::now();
    assert!(subscription.next(8, Duration::from_millis(200)).await.unwrap().is_empty());
    assert!(started.elapsed() >= Duration::from_millis(200), "it returned after {:?}", started.elapsed());
}

/// Not after the ack wait either, nor to a later reader.
pub async fn an_acked_frame_does_not_come_again(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut subscription, 1).await, ["a"]);
    broker.flush().await.unwrap();
    assert_silent(&mut subscription).await;
    drop(subscription);
    let mut later = broker.subscribe(&READER).await.unwrap();
    publish(broker, frames(&["b"])).await;
    assert_eq!(read(&mut later, 1).await, ["b"]);
}

/// After the ack wait, as a redelivery, until it is acked.
pub async fn a_frame_that_is_not_acked_comes_again(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
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

/// At once, if it has no delay.
pub async fn a_frame_comes_again_after_its_nak(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    take(&mut subscription, 1).await[0].nak(Duration::from_millis(1)).await.unwrap();
    let again = take(&mut subscription, 1).await;
    assert_eq!((text(&again[0]).as_str(), again[0].redelivered()), ("a", true));
    again[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    assert_silent(&mut subscription).await;
}

/// Also if it is longer than the ack wait.
pub async fn a_nak_waits_for_its_delay(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let delay = ACK_WAIT * 2;
    let first = take(&mut subscription, 1).await;
    let started = Instant::now();
    first[0].nak(delay).await.unwrap();
    assert!(take(&mut subscription, 1).await[0].redelivered());
    assert!(started.elapsed() > delay - ACK_WAIT / 4, "it came after {:?}", started.elapsed());
}

/// A frame that is worked on for longer than the ack wait stays with its reader.
pub async fn progress_prolongs_the_ack_wait(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let held = take(&mut subscription, 1).await;
    for _ in 0..6 {
        held[0].progress().await.unwrap();
        let came = subscription.next(1, ACK_WAIT / 4).await.unwrap();
        assert!(came.is_empty(), "it came again while it was worked on");
    }
    held[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    assert_silent(&mut subscription).await;
}

/// What it had acked doesn't come, what it held does, as a redelivery.
pub async fn what_a_dead_consumer_held_goes_to_the_next_one(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a", "b"])).await;
    let mut dead = broker.subscribe(&READER).await.unwrap();
    let held = take(&mut dead, 2).await;
    held[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    drop((held, dead));
    let mut next = broker.subscribe(&READER).await.unwrap();
    let came = take(&mut next, 1).await;
    assert_eq!((text(&came[0]).as_str(), came[0].redelivered()), ("b", true));
    came[0].ack().await.unwrap();
    broker.flush().await.unwrap();
    assert_silent(&mut next).await;
}

/// Two replicas of a service: each frame goes to one of them.
pub async fn two_readers_of_one_durable_share_its_frames(broker: &impl Broker) {
    create(broker).await;
    let mut first = broker.subscribe(&READER).await.unwrap();
    let mut second = broker.subscribe(&READER).await.unwrap();
    let wanted: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    publish(broker, wanted.iter().map(|text| frame(SUBJECT, text)).collect()).await;
    let mut came = Vec::new();
    let end = Instant::now() + PATIENCE;
    while came.len() < wanted.len() {
        for subscription in [&mut first, &mut second] {
            for delivery in subscription.next(2, Duration::from_millis(20)).await.unwrap() {
                delivery.ack().await.unwrap();
                // On a slow machine one may come again while it waits in the reader's buffer.
                if !delivery.redelivered() {
                    came.push(text(&delivery));
                }
            }
        }
        assert!(Instant::now() < end, "{} frames came within {PATIENCE:?}", came.len());
    }
    came.sort();
    assert_eq!(came, wanted);
    assert_eq!(reader(broker).await.name, READER.name);
}

/// Two services: an ack of one says nothing about the other.
pub async fn two_durables_each_read_everything(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a", "b"])).await;
    let mut first = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut first, 2).await, ["a", "b"]);
    let mut second = broker.subscribe(&ConsumerSpec { name: "contract-second", ..READER }).await.unwrap();
    assert_eq!(read(&mut second, 2).await, ["a", "b"]);
    let mut names: Vec<String> =
        broker.consumers(STREAM).await.unwrap().into_iter().map(|consumer| consumer.name).collect();
    names.sort();
    assert_eq!(names, [READER.name, "contract-second"]);
}

/// What waits or is unacked keeps it from being idle, and its floor below.
pub async fn a_consumer_that_has_acked_everything_is_idle(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a", "b", "c"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    let created = reader(broker).await.created;
    let held = take(&mut subscription, 3).await;
    held[0].ack().await.unwrap();
    eventually("the first is acked", PATIENCE, || async { reader(broker).await.floor == 1 }).await;
    assert!(!reader(broker).await.idle);
    for delivery in &held[1..] {
        delivery.ack().await.unwrap();
    }
    eventually("all are acked", PATIENCE, || async { reader(broker).await.idle }).await;
    let state = reader(broker).await;
    assert_eq!((state.name.as_str(), state.created, state.floor), (READER.name, created, 3));
}

/// By an error that makes it subscribe again.
pub async fn a_reader_learns_that_its_stream_is_gone(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a"])).await;
    let mut subscription = broker.subscribe(&READER).await.unwrap();
    assert_eq!(read(&mut subscription, 1).await, ["a"]);
    broker.delete_stream(STREAM).await.unwrap();
    assert!(matches!(gone(&mut subscription).await, BrokerError::ConsumerGone(_)));
}

/// Waits for the error that a reader gets.
async fn gone(subscription: &mut impl Subscription) -> BrokerError {
    let end = Instant::now() + PATIENCE;
    loop {
        match subscription.next(1, Duration::from_secs(1)).await {
            Err(error) => return error,
            Ok(_) => assert!(Instant::now() < end, "no error within {PATIENCE:?}"),
        }
    }
}

/// Their readers learn it; the stream keeps its messages.
pub async fn deleted_consumers_begin_anew_at_the_first_message(broker: &impl Broker) {
    create(broker).await;
    publish(broker, frames(&["a", "b"])).await;
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

/// A stream that doesn't exist can't say what it lacks.
pub async fn a_stream_without_losses_has_no_missing_sequences(broker: &impl Broker) {
    assert!(broker.deleted(STREAM).await.is_err());
    create(broker).await;
    assert_eq!(broker.deleted(STREAM).await.unwrap(), Ranges::default());
    publish(broker, frames(&["a", "b"])).await;
    assert_eq!(broker.deleted(STREAM).await.unwrap(), Ranges::default());
}

/// Each of them, and no others; nobody stores it.
pub async fn a_ping_reaches_those_who_wait_for_its_subject(broker: &impl Broker) {
    broker.ping("contract.pings", Bytes::from_static(b"early")).await.unwrap();
    let mut first = broker.pings("contract.pings").await.unwrap();
    let mut second = broker.pings("contract.pings").await.unwrap();
    broker.ping("contract.elsewhere", Bytes::from_static(b"other")).await.unwrap();
    broker.ping("contract.pings", Bytes::from_static(b"ping")).await.unwrap();
    for pings in [&mut first, &mut second] {
        assert_eq!(tokio::time::timeout(PATIENCE, pings.next()).await.unwrap(), "ping");
    }
}

/// Both without asking for more.
pub async fn a_connected_broker_is_up_and_flushes(broker: &impl Broker) {
    assert!(broker.is_up());
    broker.flush().await.unwrap();
    assert!(broker.is_up());
}
