//! The inbox: claims and savepoints.

use std::time::Duration;

use flotilla_messaging::store::OutboxRow;
use futures::FutureExt;

use super::{CONSUMER, RIVAL, Store, append, appending, claim, event_ids, events, ids, rows};
use crate::TIMEOUT;

/// A claim returns the ids that weren't claimed before.
pub async fn an_id_is_claimed_once(store: &impl Store) {
    let ids = ids(&events(4));
    assert_eq!(claim(store, CONSUMER, &ids[..2]).await, ids[..2]);
    assert_eq!(claim(store, CONSUMER, &ids).await, ids[2..]);
    assert!(claim(store, CONSUMER, &ids).await.is_empty());
}

/// An event that two consumers read is applied by both.
pub async fn each_consumer_claims_for_itself(store: &impl Store) {
    let ids = ids(&events(2));
    assert_eq!(claim(store, CONSUMER, &ids).await, ids);
    assert_eq!(claim(store, RIVAL, &ids).await, ids);
}

/// The message is redelivered, and applied then.
pub async fn a_rolled_back_claim_can_be_repeated(store: &impl Store) {
    let ids = ids(&events(2));
    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, CONSUMER, &ids).await.unwrap().len(), 2);
    store.rollback(tx).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, CONSUMER, &ids).await.unwrap().len(), 2);
    drop(tx);
    assert_eq!(claim(store, CONSUMER, &ids).await, ids);
}

/// As for two replicas with the same frame: the second waits until the first one's transaction ends.
pub async fn a_concurrent_claim_waits_and_gets_the_rest(store: &impl Store) {
    let ids = ids(&events(3));
    let mut first = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut first, CONSUMER, &ids[..2]).await.unwrap().len(), 2);
    let rival = claim(store, CONSUMER, &ids);
    tokio::pin!(rival);
    // Nothing must happen, so there is no condition to wait for.
    let early = tokio::time::timeout(Duration::from_millis(300), rival.as_mut()).await;
    assert!(early.is_err(), "the rival got {early:?} while the claim was held");
    store.commit(first).await.unwrap();
    assert_eq!(tokio::time::timeout(TIMEOUT, rival).await.unwrap(), ids[2..]);
}

/// Writes before the savepoint stay, later ones are gone.
pub async fn undo_rolls_back_to_the_savepoint(store: &impl Store) {
    let sent = events(3);
    let ids = ids(&sent);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, CONSUMER, &ids).await.unwrap().len(), 3);
    store.write(&mut tx, CONSUMER, &appending(&sent[..1])).await.unwrap();
    store.savepoint(&mut tx).await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&sent[1..2])).await.unwrap();
    store.undo(&mut tx).await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&sent[2..])).await.unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(event_ids(&rows(store).await), [ids[0], ids[2]]);
    assert!(claim(store, CONSUMER, &ids).await.is_empty(), "the claim arrived before the savepoint");
}

/// So that transactions without messages cost the relay no reads.
pub async fn only_a_committed_append_wakes_the_relay(store: &impl Store) {
    let waker = store.waker();
    let sent = events(3);
    claim(store, CONSUMER, &ids(&sent)).await;
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&sent[..1])).await.unwrap();
    store.rollback(tx).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    store.savepoint(&mut tx).await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&sent[1..2])).await.unwrap();
    store.undo(&mut tx).await.unwrap();
    store.commit(tx).await.unwrap();
    assert!(waker.woken().now_or_never().is_none(), "nothing was appended");
    assert_eq!(waker.target(), 0);
    append(store, &sent[2..]).await;
    assert!(waker.woken().now_or_never().is_some(), "a commit with a message");
    let rows = rows(store).await;
    assert_eq!(waker.target(), rows[0].position().0);
}

/// Each event of a split batch has its own savepoint.
pub async fn checked_writes_survive_a_later_undo(store: &impl Store) {
    let sent = events(2);
    let mut tx = store.begin().await.unwrap();
    store.savepoint(&mut tx).await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&sent[..1])).await.unwrap();
    store.check(&mut tx).await.unwrap();
    store.savepoint(&mut tx).await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&sent[1..])).await.unwrap();
    store.undo(&mut tx).await.unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(event_ids(&rows(store).await), ids(&sent[..1]));
}
