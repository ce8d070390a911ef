//! Parked messages: parked once, due after a wait, retried by one transaction at a time, buried.

use std::time::Duration;

use flotilla_messaging::store::{DueMessage, Effects, OutboxRow, Parked, ParkedCounts, Verdict};
use flotilla_messaging::{Event, dead_letter_subject};

use super::{CONSUMER, RIVAL, SERVICE, Store, decoded, event, rows};
use crate::{TIMEOUT, eventually};

fn counts(retrying: i64, dead: i64) -> ParkedCounts {
    ParkedCounts { retrying, dead }
}

fn parked(event: &Event, dead: bool) -> Parked {
    Parked { event: event.clone(), reason: "planted".to_owned(), dead }
}

/// Parks in one transaction, and returns the number of new dead letters.
async fn park(store: &impl Store, parked: Vec<Parked>) -> u64 {
    let mut tx = store.begin().await.unwrap();
    let dead = store.write(&mut tx, CONSUMER, &Effects { parked, ..Effects::default() }).await.unwrap();
    store.commit(tx).await.unwrap();
    dead
}

/// Waits for a due message without changing it.
async fn due(store: &impl Store) -> DueMessage {
    eventually("due", TIMEOUT, || async { peek(store, CONSUMER).await }).await
}

async fn peek(store: &impl Store, consumer: &'static str) -> Option<DueMessage> {
    let mut tx = store.begin().await.unwrap();
    let due = store.due(&mut tx, &[consumer]).await.unwrap();
    store.rollback(tx).await.unwrap();
    due
}

async fn fail(store: &impl Store, message: &DueMessage, verdict: Verdict) {
    let mut tx = store.begin().await.unwrap();
    store.fail(&mut tx, message, "again", verdict).await.unwrap();
    store.commit(tx).await.unwrap();
}

async fn assert_copied(store: &impl Store, event: &Event) {
    let found = rows(store).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject(), dead_letter_subject(SERVICE));
    let copy = &decoded(&found[0])[0];
    assert_eq!((copy.id, &copy.data), (event.id, &event.data));
}

/// The first delivery counts as an attempt.
pub async fn a_parked_message_is_due_after_its_wait(store: &impl Store) {
    let message = event("data");
    assert_eq!(park(store, vec![parked(&message, false)]).await, 0);
    assert_eq!(store.counts().await.unwrap(), counts(1, 0));
    let due = due(store).await;
    assert_eq!((due.consumer, due.event.id, due.attempts), (CONSUMER, message.id, 1));
    assert_eq!((&due.event.subject, &due.event.data), (&message.subject, &message.data));
    assert!(rows(store).await.is_empty(), "only a dead letter has a copy");
}

/// A parked message stays unchanged, even if it is parked again as a dead letter.
pub async fn a_message_is_parked_once(store: &impl Store) {
    let message = event("data");
    park(store, vec![parked(&message, false), parked(&message, false)]).await;
    assert_eq!(park(store, vec![parked(&message, true)]).await, 0);
    assert_eq!(store.counts().await.unwrap(), counts(1, 0));
    assert!(rows(store).await.is_empty());
}

/// Even if it appears twice in a batch, or again later.
pub async fn a_dead_letter_is_counted_once_and_copied_to_the_outbox(store: &impl Store) {
    let message = event("data");
    assert_eq!(park(store, vec![parked(&message, true), parked(&message, true)]).await, 1);
    assert_eq!(park(store, vec![parked(&message, true)]).await, 0);
    assert_eq!(store.counts().await.unwrap(), counts(0, 1));
    assert_copied(store, &message).await;
}

/// The table has the whole message; the copy must fit into a frame.
pub async fn the_copy_of_a_large_dead_letter_is_truncated(store: &impl Store) {
    let message = event(&"x".repeat(1_020_000));
    assert_eq!(park(store, vec![parked(&message, true)]).await, 1);
    let found = rows(store).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].payload().len() <= 1_000_000, "{} bytes", found[0].payload().len());
    assert!(decoded(&found[0])[0].data.len() > 900_000);
}

/// A service retries only the messages of its own consumers.
pub async fn a_parked_message_is_due_only_for_its_consumer(store: &impl Store) {
    park(store, vec![parked(&event("data"), false)]).await;
    due(store).await;
    assert!(peek(store, RIVAL).await.is_none());
}

/// Another transaction skips it without waiting, and gets the next one.
pub async fn a_due_message_is_given_to_one_transaction_at_a_time(store: &impl Store) {
    park(store, vec![parked(&event("a"), false), parked(&event("b"), false)]).await;
    let (mut first, mut second, mut third) =
        (store.begin().await.unwrap(), store.begin().await.unwrap(), store.begin().await.unwrap());
    let mut held = Vec::new();
    for tx in [&mut first, &mut second] {
        let message = loop {
            let due = tokio::time::timeout(TIMEOUT, store.due(tx, &[CONSUMER])).await.expect("it waits for others");
            match due.unwrap() {
                Some(message) => break message,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        held.push(message.event.id);
    }
    assert_ne!(held[0], held[1]);
    assert!(store.due(&mut third, &[CONSUMER]).await.unwrap().is_none());
    store.rollback(first).await.unwrap();
    assert_eq!(store.due(&mut third, &[CONSUMER]).await.unwrap().unwrap().event.id, held[0]);
    store.rollback(second).await.unwrap();
    store.rollback(third).await.unwrap();
}

/// It was applied in the same transaction.
pub async fn a_settled_message_is_removed(store: &impl Store) {
    park(store, vec![parked(&event("data"), false)]).await;
    let message = due(store).await;
    let mut tx = store.begin().await.unwrap();
    store.settle(&mut tx, &message).await.unwrap();
    store.rollback(tx).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), counts(1, 0), "the transaction was rolled back");
    let mut tx = store.begin().await.unwrap();
    store.settle(&mut tx, &message).await.unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), counts(0, 0));
}

/// The next attempt is due after the wait.
pub async fn a_failed_attempt_is_counted(store: &impl Store) {
    park(store, vec![parked(&event("data"), false)]).await;
    let message = due(store).await;
    fail(store, &message, Verdict::RetryAfter(Duration::from_millis(200))).await;
    let again = due(store).await;
    assert_eq!((again.event.id, again.attempts), (message.event.id, 2));
    fail(store, &again, Verdict::RetryAfter(super::LONG)).await;
    assert!(peek(store, CONSUMER).await.is_none());
    assert_eq!(store.counts().await.unwrap(), counts(1, 0));
}

/// Even if two replicas report it, or the response of the first report was lost.
pub async fn an_attempt_is_counted_once(store: &impl Store) {
    park(store, vec![parked(&event("data"), false)]).await;
    let message = due(store).await;
    fail(store, &message, Verdict::RetryAfter(Duration::ZERO)).await;
    fail(store, &message, Verdict::Bury).await;
    assert_eq!(store.counts().await.unwrap(), counts(1, 0));
    assert_eq!(due(store).await.attempts, 2);
    assert!(rows(store).await.is_empty());
}

/// It is never due again, and a copy is appended for the stream of dead letters.
pub async fn a_buried_message_is_a_dead_letter(store: &impl Store) {
    let message = event("data");
    park(store, vec![parked(&message, false)]).await;
    fail(store, &due(store).await, Verdict::Bury).await;
    assert_eq!(store.counts().await.unwrap(), counts(0, 1));
    assert!(peek(store, CONSUMER).await.is_none());
    assert_copied(store, &message).await;
}
