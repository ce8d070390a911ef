//! The outbox: what transactions append, and what the relay reads.

use flotilla_messaging::Error;
use flotilla_messaging::store::{Cursor, OutboxRow, StreamMark};

use super::{
    CONSUMER, LONG, Store, append, appending, decoded, event, events, eventually_settled, ids, row_ids, rows, start,
};

/// In the order of transactions, and within one in the order of ids.
pub async fn appended_events_are_read_in_order(store: &impl Store) {
    let sent = events(6);
    append(store, &[sent[1].clone(), sent[0].clone(), sent[2].clone()]).await;
    append(store, &sent[3..]).await;
    eventually_settled(store, &ids(&sent)).await;
    let found = rows(store).await;
    let xids: Vec<u64> = found.iter().map(|row| row.position().0).collect();
    assert!(xids[0] == xids[2] && xids[2] < xids[3] && xids[3] == xids[5], "{xids:?}");
}

/// Even in the middle of a transaction's rows.
pub async fn rows_are_read_after_the_cursor_and_up_to_the_limit(store: &impl Store) {
    let sent = events(5);
    append(store, &sent).await;
    let start = start(store).await;
    let first = store.read(start, false, 2).await.unwrap();
    assert_eq!(row_ids(&first), ids(&sent[..2]));
    let (xid, id) = first[1].position();
    let after = Cursor { xid, id, ..start };
    assert_eq!(row_ids(&store.read(after, false, 100).await.unwrap()), ids(&sent[2..]));
    let elsewhere = Cursor::start_of(start.generation - 1);
    assert!(store.read(elsewhere, false, 100).await.unwrap().is_empty(), "of another generation");
}

/// The relay puts it into a frame without decoding it. Its source is the service.
pub async fn a_row_contains_the_encoded_event(store: &impl Store) {
    let sent = event("data");
    append(store, std::slice::from_ref(&sent)).await;
    let found = decoded(&rows(store).await[0]);
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
    assert_eq!(row_ids(&store.read(start, false, 10).await.unwrap()), ids(&sent[1..]));
    assert!(store.read(start, true, 10).await.unwrap().is_empty(), "a row above a running transaction");
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
    append(store, &events(5)).await;
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
