//! The inbox: claims, savepoints and kept replies.

use std::time::Duration;

use flotilla_messaging::store::Effects;
use uuid::Uuid;

use super::{CONSUMER, RIVAL, Store, appending, claim, decoded, event, events, ids, row_ids, rows};
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
    assert_eq!(row_ids(&rows(store).await), [ids[0], ids[2]]);
    assert!(claim(store, CONSUMER, &ids).await.is_empty(), "the claim arrived before the savepoint");
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
    assert_eq!(row_ids(&rows(store).await), ids(&sent[..1]));
}

/// Writes events of which one is the reply to a command.
async fn reply(store: &impl Store, command: Uuid, events: &[&str], reply: usize) -> Vec<Uuid> {
    let written: Vec<_> = events.iter().map(|data| event(data)).collect();
    let effects = Effects { replies: vec![(command, reply)], ..appending(&written) };
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, CONSUMER, &effects).await.unwrap();
    store.commit(tx).await.unwrap();
    ids(&written)
}

async fn repeat(store: &impl Store, consumer: &'static str, commands: &[Uuid]) -> u64 {
    let mut tx = store.begin().await.unwrap();
    let repeated = store.repeat_replies(&mut tx, consumer, commands).await.unwrap();
    store.commit(tx).await.unwrap();
    repeated
}

/// With its own id. Other events aren't appended again, nor replies to another consumer's commands.
pub async fn a_kept_reply_is_appended_again_unchanged(store: &impl Store) {
    let commands = ids(&events(2));
    let written = reply(store, commands[0], &["beside", "reply"], 1).await;
    assert_eq!(repeat(store, CONSUMER, &commands).await, 1);
    assert_eq!(repeat(store, RIVAL, &commands).await, 0);
    let found = rows(store).await;
    assert_eq!(found.len(), 3);
    let again = decoded(&found[2]);
    assert_eq!((again.id, again.data.as_ref()), (written[1], b"reply".as_slice()));
}

/// A later one doesn't replace it, so that a repeated command gets the same reply.
pub async fn the_first_reply_to_a_command_is_kept(store: &impl Store) {
    let command = event("command").id;
    let first = reply(store, command, &["first"], 0).await;
    reply(store, command, &["second"], 0).await;
    assert_eq!(repeat(store, CONSUMER, &[command]).await, 1);
    assert_eq!(row_ids(&rows(store).await)[2], first[0]);
}
