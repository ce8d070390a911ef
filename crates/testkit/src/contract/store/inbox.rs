//! The inbox: claims, savepoints and kept replies.

use std::time::Duration;

use flotilla_messaging::store::Effects;
use uuid::Uuid;

use super::{CONSUMER, RIVAL, Store, appending, claim, decoded, event, events, ids, row_ids, rows};
use crate::TIMEOUT;

/// What was claimed before is not new, what wasn't is.
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

/// The message comes again, and is applied then.
pub async fn a_claim_that_is_rolled_back_is_free_again(store: &impl Store) {
    let ids = ids(&events(2));
    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, CONSUMER, &ids).await.unwrap().len(), 2);
    store.rollback(tx).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, CONSUMER, &ids).await.unwrap().len(), 2);
    drop(tx);
    assert_eq!(claim(store, CONSUMER, &ids).await, ids);
}

/// Two replicas with the same frame: the second waits for the first one's end.
pub async fn a_rival_waits_for_a_claim_and_gets_what_is_left(store: &impl Store) {
    let ids = ids(&events(3));
    let mut first = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut first, CONSUMER, &ids[..2]).await.unwrap().len(), 2);
    let rival = claim(store, CONSUMER, &ids);
    tokio::pin!(rival);
    // Nothing is to happen, which no condition can say.
    let early = tokio::time::timeout(Duration::from_millis(300), rival.as_mut()).await;
    assert!(early.is_err(), "the rival got {early:?} while the claim was held");
    store.commit(first).await.unwrap();
    assert_eq!(tokio::time::timeout(TIMEOUT, rival).await.unwrap(), ids[2..]);
}

/// What came before it stays, what came after it is gone.
pub async fn undo_goes_back_to_the_savepoint(store: &impl Store) {
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
    assert!(claim(store, CONSUMER, &ids).await.is_empty(), "the claim came before the savepoint");
}

/// Each event of a batch that is split has a savepoint of its own.
pub async fn what_is_checked_stays(store: &impl Store) {
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

/// Writes events of which one answers a command.
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

/// Under its own id; the event beside it isn't, nor is a command of another consumer answered.
pub async fn a_kept_reply_is_appended_again_as_it_was(store: &impl Store) {
    let commands = ids(&events(2));
    let written = reply(store, commands[0], &["beside", "reply"], 1).await;
    assert_eq!(repeat(store, CONSUMER, &commands).await, 1);
    assert_eq!(repeat(store, RIVAL, &commands).await, 0);
    let found = rows(store).await;
    assert_eq!(found.len(), 3);
    let again = decoded(&found[2]);
    assert_eq!((again.id, again.data.as_ref()), (written[1], b"reply".as_slice()));
}

/// A later one doesn't take its place: who was answered once is answered the same again.
pub async fn the_first_reply_of_a_command_is_the_one_that_is_kept(store: &impl Store) {
    let command = event("command").id;
    let first = reply(store, command, &["first"], 0).await;
    reply(store, command, &["second"], 0).await;
    assert_eq!(repeat(store, CONSUMER, &[command]).await, 1);
    assert_eq!(row_ids(&rows(store).await)[2], first[0]);
}
