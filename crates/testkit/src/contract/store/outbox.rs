//! The outbox: what transactions append, and what the relay reads.

use std::collections::BTreeSet;

use flotilla_messaging::frame::MAX_FRAME_BYTES;
use flotilla_messaging::store::{Cursor, OutboxRow, StreamMark};
use flotilla_messaging::{Error, Event};
use uuid::Uuid;

use super::{
    CONSUMER, LONG, OTHER, SUBJECT, Store, append, appending, decoded, event, event_ids, events, eventually_settled,
    ids, row_ids, rows, start,
};

/// Appends each event separately, and so in a frame of its own, all in one transaction.
async fn append_each(store: &impl Store, events: &[Event]) {
    let mut tx = store.begin().await.unwrap();
    for event in events {
        store.write(&mut tx, CONSUMER, &appending(std::slice::from_ref(event))).await.unwrap();
    }
    store.commit(tx).await.unwrap();
}

/// In the order in which they were appended, whatever their ids say.
pub async fn the_events_of_a_transaction_and_subject_share_a_frame(store: &impl Store) {
    let sent = events(4);
    let elsewhere = Event { subject: OTHER.to_owned(), ..event("elsewhere") };
    append(store, &[sent[1].clone(), elsewhere.clone(), sent[0].clone()]).await;
    append(store, &sent[2..]).await;
    let found = rows(store).await;
    assert_eq!(found.iter().map(OutboxRow::events).collect::<Vec<_>>(), [2, 1, 2]);
    assert_eq!(event_ids(&found), [sent[1].id, sent[0].id, elsewhere.id, sent[2].id, sent[3].id]);
    assert_eq!(found.iter().map(OutboxRow::subject).collect::<Vec<_>>(), [SUBJECT, OTHER, SUBJECT]);
    let ids: BTreeSet<Uuid> = row_ids(&found).into_iter().collect();
    assert_eq!(ids.len(), 3, "each frame has its own id");
    let xids: Vec<u64> = found.iter().map(|row| row.position().0).collect();
    assert!(xids[0] == xids[1] && xids[1] < xids[2], "{xids:?}");
}

/// No frame exceeds its limit.
pub async fn events_beyond_a_full_frame_start_another(store: &impl Store) {
    let sent: Vec<Event> = (0..5).map(|_| event(&"x".repeat(MAX_FRAME_BYTES / 3))).collect();
    append(store, &sent).await;
    let found = rows(store).await;
    assert_eq!(found.iter().map(OutboxRow::events).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(event_ids(&found), ids(&sent));
}

/// Even in the middle of a transaction's frames.
pub async fn frames_are_read_after_the_cursor_and_up_to_the_limit(store: &impl Store) {
    append_each(store, &events(5)).await;
    let start = start(store).await;
    let all = row_ids(&rows(store).await);
    let first = store.read(start, false, 2, usize::MAX).await.unwrap();
    assert_eq!(row_ids(&first), all[..2]);
    let (xid, id) = first[1].position();
    let after = Cursor { xid, id, ..start };
    assert_eq!(row_ids(&store.read(after, false, 100, usize::MAX).await.unwrap()), all[2..]);
    let elsewhere = Cursor::start_of(start.generation - 1);
    assert!(store.read(elsewhere, false, 100, usize::MAX).await.unwrap().is_empty(), "of another generation");
}

/// At least one frame, however large it is.
pub async fn a_read_ends_with_the_frame_that_reaches_the_byte_limit(store: &impl Store) {
    append_each(store, &events(5)).await;
    let start = start(store).await;
    let all = rows(store).await;
    let two = all[0].payload().len() + all[1].payload().len();
    for (bytes, wanted) in [(1, 1), (two - 1, 2), (two, 2), (two + 1, 3), (usize::MAX, 5)] {
        assert_eq!(store.read(start, false, 100, bytes).await.unwrap().len(), wanted, "{bytes} bytes");
    }
}

/// The relay publishes it without decoding it. Its source is the service.
pub async fn a_frame_contains_the_encoded_event(store: &impl Store) {
    let sent = event("data");
    append(store, std::slice::from_ref(&sent)).await;
    let [found] = <[Event; 1]>::try_from(decoded(&rows(store).await[0])).unwrap();
    assert_eq!((found.id, &found.subject, &found.data), (sent.id, &sent.subject, &sent.data));
    assert_eq!(found.source, flotilla_messaging::source_of(super::SERVICE));
}

/// No row is visible, neither before nor after the rollback.
pub async fn a_rolled_back_transaction_appends_nothing(store: &impl Store) {
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&events(2))).await.unwrap();
    assert!(rows(store).await.is_empty(), "visible before the commit");
    store.rollback(tx).await.unwrap();
    assert!(rows(store).await.is_empty());
}

/// It is rolled back, and later rows are settled.
pub async fn a_dropped_transaction_appends_nothing(store: &impl Store) {
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(&events(2))).await.unwrap();
    drop(tx);
    let sent = events(1);
    append(store, &sent).await;
    eventually_settled(store, &ids(&sent)).await;
}

/// Otherwise it would be published, and the rows that the running transaction appends would be skipped.
pub async fn a_row_above_a_running_transaction_is_not_settled(store: &impl Store) {
    let sent = events(2);
    let mut early = store.begin().await.unwrap();
    store.write(&mut early, CONSUMER, &appending(&sent[..1])).await.unwrap();
    append(store, &sent[1..]).await;
    let start = start(store).await;
    assert_eq!(event_ids(&store.read(start, false, 10, usize::MAX).await.unwrap()), ids(&sent[1..]));
    assert!(store.read(start, true, 10, usize::MAX).await.unwrap().is_empty(), "a row above a running transaction");
    store.commit(early).await.unwrap();
    eventually_settled(store, &ids(&sent)).await;
}

/// With a data error, so that only the message that caused it is parked.
pub async fn an_event_too_large_for_a_frame_is_refused(store: &impl Store) {
    let huge = event(&"x".repeat(1_100_000));
    let mut tx = store.begin().await.unwrap();
    let error = store.write(&mut tx, CONSUMER, &appending(std::slice::from_ref(&huge))).await.unwrap_err();
    assert!(matches!(&error, Error::TooLarge { id, .. } if *id == huge.id), "{error}");
    assert!(error.is_data(), "{error}");
    store.rollback(tx).await.unwrap();
    assert!(rows(store).await.is_empty());
}

/// It has their number and the age of the oldest.
pub async fn the_backlog_counts_the_rows_after_the_cursor(store: &impl Store) {
    let none = store.backlog().await.unwrap();
    assert_eq!((none.pending, none.age.as_nanos()), (0, 0));
    append_each(store, &events(5)).await;
    assert_eq!(store.backlog().await.unwrap().pending, 5);
    let epoch = store.acquire("me", LONG).await.unwrap().unwrap().epoch;
    let mark = |sequence| StreamMark { created: 7, sequence };
    let found = rows(store).await;
    let at = |place: usize| {
        let (xid, id) = found[place].position();
        (xid, id)
    };
    let start = start(store).await;
    for (place, left) in [(2, 2), (4, 0)] {
        let (xid, id) = at(place);
        assert!(store.advance(epoch, Cursor { xid, id, ..start }, mark(1), false, LONG).await.unwrap());
        assert_eq!(store.backlog().await.unwrap().pending, left);
    }
}
