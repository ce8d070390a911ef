//! The relay's lease, its cursor and checkpoints, and its record of the stream.

use std::time::Duration;

use flotilla_messaging::ranges::Ranges;
use flotilla_messaging::store::{Checkpoint, Cursor, KnownConsumer, Rewind, StreamMark, StreamRecord};
use tokio::time::Instant;
use uuid::Uuid;

use super::{LONG, Store};
use crate::{TIMEOUT, eventually};

const SHORT: Duration = Duration::from_millis(500);

fn at(xid: u64) -> Cursor {
    Cursor { generation: 1, xid, id: Uuid::nil() }
}

fn mark(sequence: u64) -> StreamMark {
    StreamMark { created: 7, sequence }
}

/// No other holder gets it before it expires, renewed or not.
pub async fn one_holder_has_the_lease_at_a_time(store: &impl Store) {
    let grant = store.acquire("first", LONG).await.unwrap().unwrap();
    assert!(store.acquire("second", LONG).await.unwrap().is_none());
    assert!(store.renew(grant.epoch, LONG).await.unwrap());
    assert!(store.acquire("second", LONG).await.unwrap().is_none());
}

/// And not before it expires; a renewal extends it from the time of the renewal.
pub async fn an_expired_lease_is_taken_over(store: &impl Store) {
    let started = Instant::now();
    let old = store.acquire("first", SHORT).await.unwrap().unwrap();
    assert!(store.renew(old.epoch, SHORT * 2).await.unwrap());
    let new = eventually("free", TIMEOUT, || async { store.acquire("second", LONG).await.unwrap() }).await;
    assert!(started.elapsed() >= SHORT * 2, "taken over after {:?}", started.elapsed());
    assert!(new.epoch > old.epoch);
    assert!(!store.renew(old.epoch, LONG).await.unwrap());
}

/// As at a shutdown.
pub async fn a_released_lease_is_free_at_once(store: &impl Store) {
    let old = store.acquire("first", LONG).await.unwrap().unwrap();
    store.release(old.epoch).await.unwrap();
    let new = store.acquire("second", LONG).await.unwrap().unwrap();
    assert!(new.epoch > old.epoch);
    // A late release by the old holder doesn't affect the new one.
    store.release(old.epoch).await.unwrap();
    assert!(store.acquire("first", LONG).await.unwrap().is_none());
}

/// The old epoch ends, even if the holder's name is the same.
pub async fn a_holder_reacquires_its_own_lease_with_a_higher_epoch(store: &impl Store) {
    let old = store.acquire("me", LONG).await.unwrap().unwrap();
    let new = store.acquire("me", LONG).await.unwrap().unwrap();
    assert!(new.epoch > old.epoch);
    assert!(!store.renew(old.epoch, LONG).await.unwrap());
}

/// None before the first publication.
pub async fn a_grant_has_the_position_of_the_last_holder(store: &impl Store) {
    let first = store.acquire("first", LONG).await.unwrap().unwrap();
    assert_eq!((first.cursor, first.stream), (None, None));
    assert!(store.advance(first.epoch, at(9), mark(4), false, LONG).await.unwrap());
    store.release(first.epoch).await.unwrap();
    let second = store.acquire("second", LONG).await.unwrap().unwrap();
    assert_eq!((second.cursor, second.stream), (Some(at(9)), Some(mark(4))));
}

/// Neither the cursor nor the lease, the checkpoints or the record.
pub async fn a_stale_epoch_changes_nothing(store: &impl Store) {
    let old = store.acquire("old", SHORT).await.unwrap().unwrap();
    let new = eventually("free", TIMEOUT, || async { store.acquire("new", LONG).await.unwrap() }).await;
    let record = StreamRecord::default();
    let to = Checkpoint { sequence: 9, cursor: at(9) };
    let rewind = Rewind { to, stream: mark(9), record: &record, losses: &[], lost_from: 1 };
    assert!(!store.renew(old.epoch, LONG).await.unwrap());
    assert!(!store.advance(old.epoch, at(9), mark(9), true, LONG).await.unwrap());
    assert!(!store.rewind(old.epoch, rewind).await.unwrap());
    assert!(!store.keep_record(old.epoch, &record).await.unwrap());
    store.release(old.epoch).await.unwrap();
    assert!(store.acquire("old", LONG).await.unwrap().is_none());
    assert_eq!(store.checkpoint(mark(99)).await.unwrap(), None);
    assert_eq!(store.oldest_checkpoint(7).await.unwrap(), None);
    assert!(store.stream_record().await.unwrap().is_none());
    assert!(store.advance(new.epoch, at(8), mark(8), true, LONG).await.unwrap());
    assert_eq!(store.acquire("new", LONG).await.unwrap().unwrap().cursor, Some(at(8)));
}

/// In any order of losses and publications.
pub async fn checkpoints_above_a_loss_are_forgotten_and_stay_in_order(store: &impl Store) {
    let grant = store.acquire("me", LONG).await.unwrap().unwrap();
    let point = |sequence, xid| Some(Checkpoint { sequence, cursor: at(xid) });
    for step in 1..=5 {
        assert!(store.advance(grant.epoch, at(step * 10), mark(step), true, LONG).await.unwrap());
    }
    assert_eq!(store.checkpoint(mark(3)).await.unwrap(), point(3, 30));
    assert_eq!(store.checkpoint(StreamMark { created: 8, sequence: 9 }).await.unwrap(), None);
    assert_eq!(store.oldest_checkpoint(7).await.unwrap(), Some(1));
    assert_eq!(store.oldest_checkpoint(8).await.unwrap(), None);
    let record = StreamRecord::default();
    let back = |sequence, xid, end| Rewind {
        to: Checkpoint { sequence, cursor: at(xid) },
        stream: mark(end),
        record: &record,
        losses: &[],
        lost_from: 7,
    };
    // The tail is lost.
    assert!(store.rewind(grant.epoch, back(3, 30, 3)).await.unwrap());
    assert_eq!(store.checkpoint(mark(5)).await.unwrap(), point(3, 30));
    assert!(store.advance(grant.epoch, at(40), mark(4), true, LONG).await.unwrap());
    // Messages before the end are lost: those published up to four are republished above four.
    assert!(store.rewind(grant.epoch, back(2, 20, 4)).await.unwrap());
    assert_eq!(store.checkpoint(mark(3)).await.unwrap(), point(2, 20));
    assert_eq!(store.checkpoint(mark(9)).await.unwrap(), point(4, 20));
    assert!(!store.rewind(grant.epoch - 1, back(1, 10, 4)).await.unwrap());
    assert_eq!(store.checkpoint(mark(9)).await.unwrap(), point(4, 20));
}

/// Moves of the cursor without a checkpoint leave only the newest position.
pub async fn the_cursor_counts_as_a_checkpoint(store: &impl Store) {
    let grant = store.acquire("me", LONG).await.unwrap().unwrap();
    assert!(store.advance(grant.epoch, at(10), mark(1), true, LONG).await.unwrap());
    for step in 2..=4 {
        assert!(store.advance(grant.epoch, at(step * 10), mark(step), false, LONG).await.unwrap());
    }
    let point = |sequence, xid| Some(Checkpoint { sequence, cursor: at(xid) });
    assert_eq!(store.checkpoint(mark(9)).await.unwrap(), point(4, 40));
    assert_eq!(store.checkpoint(mark(3)).await.unwrap(), point(1, 10));
    assert_eq!(store.checkpoint(mark(0)).await.unwrap(), None);
    assert_eq!(store.oldest_checkpoint(7).await.unwrap(), Some(1));
}

/// Consumers that a new record lacks are forgotten. A rewind writes the record too.
pub async fn the_stream_record_is_written_under_the_lease_only(store: &impl Store) {
    assert!(store.stream_record().await.unwrap().is_none());
    let grant = store.acquire("me", LONG).await.unwrap().unwrap();
    let known = |floor| KnownConsumer { created: 3, floor, seen: Instant::now() };
    let mut record = StreamRecord {
        created: 7,
        gone: Ranges::from_sorted([1, 2, 3, 9, 12, 13]),
        covered: Ranges::one(20, 30),
        unlisted: 5,
        consumers: [("a".to_owned(), known(4)), ("b".to_owned(), known(8))].into(),
    };
    assert!(!store.keep_record(grant.epoch + 1, &record).await.unwrap());
    assert!(store.stream_record().await.unwrap().is_none());
    assert!(store.keep_record(grant.epoch, &record).await.unwrap());
    let found = store.stream_record().await.unwrap().unwrap();
    assert_eq!((found.created, &found.gone, &found.covered, found.unlisted), (7, &record.gone, &record.covered, 5));
    let floors: Vec<_> =
        found.consumers.iter().map(|(name, known)| (name.as_str(), known.created, known.floor)).collect();
    assert_eq!(floors, [("a", 3, 4), ("b", 3, 8)]);
    record.consumers.remove("a");
    record.gone = Ranges::default();
    let to = Checkpoint { sequence: 1, cursor: at(1) };
    let rewind = Rewind { to, stream: mark(1), record: &record, losses: &[], lost_from: 7 };
    assert!(store.rewind(grant.epoch, rewind).await.unwrap());
    let found = store.stream_record().await.unwrap().unwrap();
    assert!(found.gone.is_empty());
    assert_eq!(found.consumers.keys().collect::<Vec<_>>(), ["b"]);
}
