//! Parked messages: tried again with growing waits, then dead letters.

use std::sync::Arc;
use std::time::Duration;

use super::{Counting, World, eventually};
use crate::fixtures::{COMMAND, KIND, REPLY, event};
use crate::log::Warnings;

async fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.start_relay();
    world.start_consumer(Arc::new(Counting));
    world.start_retries(Arc::new(Counting));
    world
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_is_applied_when_its_time_has_come() {
    let mut world = world(40).await;
    let later = event(&world.ids, KIND, "later");
    world.commit(std::slice::from_ref(&later));
    eventually("parked", || world.payments.parked().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.applied(&later), 0);
    assert!(world.payments.parked()[0].1.attempts > 1);
    let mut tx = world.payments.transaction();
    tx.add("later allowed", 1);
    tx.commit().unwrap();
    eventually("applied", || world.applied(&later) == 1).await;
    assert!(world.payments.parked().is_empty());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_it_is_a_dead_letter_with_a_copy_for_the_stream() {
    for (seed, poison) in [(41, "later"), (42, "invalid"), (43, "panic")] {
        let mut world = world(seed).await;
        let bad = event(&world.ids, KIND, poison);
        world.commit(std::slice::from_ref(&bad));
        eventually("dead", || world.payments.parked().first().is_some_and(|(_, row)| row.dead)).await;
        assert_eq!(world.payments.parked()[0].1.attempts, 8);
        let copies = world.payments.outbox();
        assert_eq!(copies.len(), 1, "{poison}");
        assert_eq!((copies[0].id, copies[0].subject.as_str()), (bad.id, "flotilla.payments.dead_letters"));
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world.payments.parked()[0].1.attempts, 8, "a dead letter is left alone");
        world.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn waits_grow_with_the_attempts() {
    let mut world = world(44).await;
    world.commit(&[event(&world.ids, KIND, "later")]);
    let started = tokio::time::Instant::now();
    eventually("dead", || world.payments.parked().first().is_some_and(|(_, row)| row.dead)).await;
    // 1 + 2 + 4 + ... + 64 seconds, give or take the jitter.
    assert!(started.elapsed() > Duration::from_secs(90), "{:?}", started.elapsed());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_parked_is_answered_once_it_is_applied() {
    let mut world = world(45).await;
    let command = event(&world.ids, COMMAND, "later");
    world.commit(std::slice::from_ref(&command));
    eventually("parked", || world.payments.parked().len() == 1).await;
    let mut tx = world.payments.transaction();
    tx.add("later allowed", 1);
    tx.commit().unwrap();
    eventually("applied", || world.applied(&command) == 1).await;
    // Published once more, as after a loss of the stream: the frame is known.
    world.broker.wipe();
    world.quiet().await;
    let replies = world.payments.outbox().into_iter().filter(|event| event.kind == REPLY);
    assert_eq!(replies.map(|reply| reply.causation_id).collect::<Vec<_>>(), [Some(command.id)]);
    assert_eq!(world.applied(&command), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_a_round_are_told_with_their_count() {
    let mut world = world(46).await;
    world.commit(&(0..10).map(|_| event(&world.ids, KIND, "later")).collect::<Vec<_>>());
    eventually("parked", || world.payments.parked().len() == 10).await;
    let warnings = Warnings::catch();
    let count = |line: &String| {
        let (_, rest) = line.split_once("messages=").filter(|_| line.contains("are dead letters now"))?;
        rest.split(' ').next()?.parse::<usize>().ok()
    };
    eventually("all are told", || warnings.lines().iter().filter_map(count).sum::<usize>() == 10).await;
    assert!(world.payments.parked().iter().all(|(_, row)| row.dead));
    world.stop().await;
}
