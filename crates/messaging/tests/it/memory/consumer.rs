//! Consumers: applied once, parked alone, retried whole.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_messaging::{Event, frame};
use flotilla_postgres::ErrorKind;
use flotilla_testkit::memory::StoreFault;

use super::{Counting, Failing, HORIZON, STREAM, World, eventually};
use crate::fixtures::{COMMAND, KIND, SUBJECT, UNKNOWN, event, events};
use crate::log::Warnings;

fn payload(events: &[Event]) -> Bytes {
    let mut bytes = Vec::new();
    for event in events {
        frame::encode(event, "/flotilla/orders", &[], &mut bytes);
    }
    Bytes::from(bytes)
}

async fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    eventually("consumer", || world.broker.consumers(STREAM) == 1).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_event_is_applied_once() {
    let mut world = world(20).await;
    let sent = events(&world.ids, KIND, 10);
    world.commit(&sent);
    world.quiet().await;
    for _ in 0..3 {
        world.broker.inject(STREAM, SUBJECT, payload(&sent[2..7]));
    }
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_deadline_has_passed_is_still_applied() {
    let mut world = world(27).await;
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let late = event(&world.ids, KIND, "late").until(long_ago);
    let command = event(&world.ids, COMMAND, "charge").until(long_ago);
    world.commit(&[late.clone(), command.clone()]);
    world.quiet().await;
    world.assert_each_applied_once(&[late, command]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_twice_in_one_frame_is_applied_once() {
    let mut world = world(21).await;
    let sent = events(&world.ids, KIND, 3);
    let doubled: Vec<Event> = [&sent[..], &sent[..]].concat();
    world.broker.inject(STREAM, SUBJECT, payload(&doubled));
    eventually("applied", || world.applied(&sent[2]) > 0).await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poison_event_is_parked_and_its_frame_mates_are_applied() {
    for (seed, poison) in [(23, "invalid"), (24, "panic"), (25, "miscount")] {
        let mut world = world(seed).await;
        let mut sent = events(&world.ids, KIND, 13);
        let bad = event(&world.ids, KIND, poison);
        sent.insert(5, bad.clone());
        world.commit(&sent);
        world.quiet().await;
        sent.remove(5);
        world.assert_each_applied_once(&sent);
        let parked = world.payments.parked();
        assert_eq!(parked.len(), 1, "{poison}");
        assert_eq!(parked[0].1.event.id, bad.id);
        assert!(!parked[0].1.dead);
        world.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_prepares_once_with_all_events_before_a_batch_is_split() {
    let mut world = world(28).await;
    let good = events(&world.ids, KIND, 5);
    world.commit(&good);
    world.quiet().await;
    assert!(world.payments.values("prepared/").is_empty(), "a batch that isn't split");
    let mut sent = events(&world.ids, KIND, 6);
    sent.push(event(&world.ids, KIND, "invalid"));
    world.commit(&sent);
    world.quiet().await;
    let prepared = world.payments.values("prepared/");
    assert_eq!((prepared.len(), prepared.values().sum::<i64>()), (7, 7), "{prepared:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn effects_of_a_split_batch_commit_together() {
    let mut world = world(26).await;
    let sent = [event(&world.ids, KIND, "good"), event(&world.ids, KIND, "invalid")];
    world.commit(&sent);
    world.quiet().await;
    // Both in the same transaction: one fault at its commit loses both, and both come again.
    let more = [event(&world.ids, KIND, "good"), event(&world.ids, KIND, "invalid")];
    world.payments.fail(StoreFault::Commit(ErrorKind::Unavailable));
    world.commit(&more);
    world.quiet().await;
    world.assert_each_applied_once(&[sent[0].clone(), more[0].clone()]);
    assert_eq!(world.payments.parked().len(), 2);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_type_is_parked_as_a_dead_letter_with_a_copy_for_the_stream() {
    let mut world = world(27).await;
    let mut sent = events(&world.ids, KIND, 3);
    let unknown = event(&world.ids, UNKNOWN, "what");
    sent.insert(1, unknown.clone());
    world.commit(&sent);
    world.quiet().await;
    sent.remove(1);
    world.assert_each_applied_once(&sent);
    let parked = world.payments.parked();
    assert_eq!((parked.len(), parked[0].1.dead), (1, true));
    let copies = world.payments.outbox();
    assert_eq!(copies.len(), 1);
    assert_eq!((copies[0].id, copies[0].subject.as_str()), (unknown.id, "flotilla.payments.dead_letters"));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn undecodable_bytes_are_parked_once_and_acked() {
    let mut world = world(28).await;
    world.commit(&events(&world.ids, KIND, 1));
    world.quiet().await;
    for _ in 0..2 {
        world.broker.inject(STREAM, SUBJECT, Bytes::from_static(b"not a frame"));
    }
    world.quiet().await;
    let parked = world.payments.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].1.event.id.get_version_num(), 8);
    assert_eq!(parked[0].1.event.data, Bytes::from_static(b"not a frame"));
    assert_eq!(world.payments.outbox().len(), 1, "one copy");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn conflicts_outages_and_timeouts_retry_the_batch_whole_and_park_nothing() {
    let mut world = World::new(29);
    world.start_relay();
    let kinds = [ErrorKind::Conflict, ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Other].repeat(5);
    world.start_consumer(Arc::new(Failing(kinds.into())));
    let sent = events(&world.ids, KIND, 12);
    world.commit(&sent);
    eventually("applied", || world.applied(&sent[11]) == 1).await;
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    assert!(world.payments.parked().is_empty());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_not_applied_twice() {
    let mut world = world(30).await;
    world.payments.fail(StoreFault::CommitAnswer);
    let sent = events(&world.ids, COMMAND, 4);
    world.commit(&sent);
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_older_than_the_inbox_remembers_is_parked_and_never_applied() {
    let mut world = world(31).await;
    world.commit(&events(&world.ids, KIND, 1));
    world.quiet().await;
    let old = event(&world.ids, KIND, "old");
    tokio::time::sleep(HORIZON + Duration::from_secs(1)).await;
    world.broker.inject(STREAM, SUBJECT, payload(std::slice::from_ref(&old)));
    world.quiet().await;
    assert_eq!(world.applied(&old), 0);
    let parked = world.payments.parked();
    assert_eq!((parked[0].1.event.id, parked[0].1.dead), (old.id, true));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_parked_event_is_neither_applied_nor_parked_anew() {
    let mut world = world(32).await;
    let later = event(&world.ids, KIND, "later");
    world.commit(std::slice::from_ref(&later));
    world.quiet().await;
    let before = world.payments.parked();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.broker.inject(STREAM, SUBJECT, payload(std::slice::from_ref(&later)));
    world.quiet().await;
    let after = world.payments.parked();
    assert_eq!((after.len(), after[0].1.due), (1, before[0].1.due));
    assert_eq!(world.applied(&later), 0);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn frames_in_hand_at_a_crash_come_again_and_are_applied_once() {
    let mut world = World::new(33);
    world.start_relay();
    let sent = events(&world.ids, KIND, 30);
    world.commit(&sent);
    // So many outages that the consumer dies while it waits.
    world.start_consumer(Arc::new(Failing(vec![ErrorKind::Unavailable; 1_000].into())));
    tokio::time::sleep(Duration::from_secs(40)).await;
    world.crash().await;
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_the_database_is_not_delivered_to_another() {
    let mut world = World::new(34);
    world.start_relay();
    // Sixty outages of up to two seconds are longer than the ack wait: only signs of life keep the frame.
    world.start_consumer(Arc::new(Failing(vec![ErrorKind::Unavailable; 60].into())));
    let sent = events(&world.ids, KIND, 3);
    world.commit(&sent);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.start_consumer(Arc::new(Counting));
    eventually("applied", || world.applied(&sent[2]) == 1).await;
    world.quiet().await;
    assert_eq!(world.broker.redeliveries(), 0);
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_larger_than_a_transaction_may_be_is_applied_in_parts() {
    let mut world = world(35).await;
    let sent = events(&world.ids, KIND, 100);
    world.commit(&sent);
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_fetched_frames_back_at_once() {
    let mut world = world(36).await;
    world.commit(&events(&world.ids, KIND, 1));
    world.quiet().await;
    world.stop().await;
    let sent = events(&world.ids, KIND, 2);
    world.start_relay();
    world.start_consumer(Arc::new(Failing(vec![ErrorKind::Unavailable; 1_000].into())));
    world.commit(&sent);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.stop().await;
    let started = tokio::time::Instant::now();
    world.start_consumer(Arc::new(Counting));
    eventually("applied", || world.applied(&sent[1]) == 1).await;
    assert!(started.elapsed() < Duration::from_secs(5), "they came after the ack wait: {:?}", started.elapsed());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_two_hundred_thousand_empty_events_is_one_parked_message_and_one_line_of_the_log() {
    let mut world = world(31).await;
    let warnings = Warnings::catch();
    let poison = Bytes::from([0x0a, 0x00].repeat(200_000));
    world.broker.inject(STREAM, SUBJECT, poison.clone());
    let sent = events(&world.ids, KIND, 3);
    world.commit(&sent);
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    let parked = world.payments.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].1.event.data.len(), poison.len(), "the frame as a whole");
    assert_eq!(parked[0].1.reason, "undecodable: more than 1024 events in a message");
    let lines = warnings.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("messages=1 "), "{lines:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_parked_at_once_are_one_line_of_the_log_with_their_count() {
    let mut world = world(32).await;
    let warnings = Warnings::catch();
    let unknown = events(&world.ids, UNKNOWN, 16);
    world.broker.inject(STREAM, SUBJECT, payload(&unknown));
    world.quiet().await;
    assert_eq!(world.payments.parked().len(), 16);
    let lines = warnings.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("messages=16 ") && lines[0].contains("dead=16 "), "{lines:?}");
    world.stop().await;
}
