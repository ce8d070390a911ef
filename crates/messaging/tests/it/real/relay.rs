//! The relay on PostgreSQL: what transaction ids, leases and cursors do there.

use std::sync::Arc;
use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_messaging::postgres::PgStore;
use flotilla_messaging::store::OutboxStore;
use flotilla_postgres::{Pool, Tx};
use flotilla_testkit::{Database, assert_outbox_published, eventually, stack};
use prometheus::Registry;

use super::{
    CONSUMER, FORGET, Node, ORDERS, PAYMENTS, Recording, TIMEOUT, database, eventually_applied, ids_of, settings,
    streamed,
};
use crate::fixtures::{KIND, event, events};

fn store(database: &Database) -> PgStore {
    let settings_of = database.settings();
    let pool = Pool::connect("system", &settings_of.system_url, &settings_of, &Registry::new()).unwrap();
    PgStore::new(database.service, pool, &settings(""), Ids::system())
}

#[tokio::test]
async fn what_is_appended_arrives_and_is_applied() {
    let nats = stack().await.nats_url();
    let (orders_db, payments_db) = (database("orders").await, database("payments").await);
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    let handler = Arc::new(Recording::default());
    let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, handler)]).await;
    let mut sent = Vec::new();
    for size in [1, 500, 3, 1_500, 1] {
        let batch = events(&orders.ids, KIND, size);
        orders.commit(&batch).await;
        sent.extend(batch);
    }
    eventually_applied(&payments_db, &sent).await;
    flotilla_testkit::assert_nothing_left(&[&orders_db, &payments_db], &nats, &["ORDERS"]).await;
    orders.stop().await;
    payments.stop().await;
}

#[tokio::test]
async fn a_row_whose_transaction_began_earlier_and_commits_later_is_not_skipped() {
    let nats = stack().await.nats_url();
    let db = database("orders").await;
    let orders = Node::start(&db, ORDERS, &settings(&nats), vec![]).await;
    // The relay is at work before it is put to the test.
    let first = event(&orders.ids, KIND, "first");
    orders.commit(std::slice::from_ref(&first)).await;
    eventually("published", TIMEOUT, || async { ids_of(&streamed(&nats, "ORDERS").await) == [first.id] }).await;
    let (early, late) = (event(&orders.ids, KIND, "early"), event(&orders.ids, KIND, "late"));
    let slow = orders.pool.begin().await.unwrap();
    orders.outbox.append(&slow, std::slice::from_ref(&early)).await.unwrap();
    orders.commit(std::slice::from_ref(&late)).await;
    // Several polls long, and the wait can't be for a condition: nothing is to happen.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(streamed(&nats, "ORDERS").await.len(), 1, "a row above a running transaction must wait");
    slow.commit().await.unwrap();
    eventually("both published", TIMEOUT, || async {
        ids_of(&streamed(&nats, "ORDERS").await) == [first.id, early.id, late.id]
    })
    .await;
    orders.stop().await;
}

#[tokio::test]
async fn a_cursor_move_that_was_lost_only_repeats() {
    let nats = stack().await.nats_url();
    let (orders_db, payments_db) = (database("orders").await, database("payments").await);
    let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, Arc::default())]).await;
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    let sent = events(&orders.ids, KIND, 20);
    orders.commit(&sent[..10]).await;
    assert_outbox_published(&orders_db).await;
    orders.stop().await;
    orders_db.query(FORGET, &[]).await;
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    orders.commit(&sent[10..]).await;
    eventually("published again", TIMEOUT, || async { streamed(&nats, "ORDERS").await.len() == 30 }).await;
    eventually_applied(&payments_db, &sent).await;
    orders.stop().await;
    payments.stop().await;
}

#[tokio::test]
async fn only_the_holder_of_the_lease_publishes_and_another_takes_over() {
    let nats = stack().await.nats_url();
    let db = database("orders").await;
    let first = Node::start(&db, ORDERS, &settings(&nats), vec![]).await;
    let second = Node::start(&db, ORDERS, &settings(&nats), vec![]).await;
    let mut sent = Vec::new();
    for number in 0..40 {
        let batch = events(&first.ids, KIND, 2);
        // Rows of both replicas; the one that doesn't lead pings the other.
        let replica = if number % 2 == 0 { &first } else { &second };
        replica.commit(&batch).await;
        sent.extend(batch);
    }
    assert_outbox_published(&db).await;
    assert_eq!(ids_of(&streamed(&nats, "ORDERS").await), ids_of(&sent), "published once each");
    first.kill().await;
    let last = event(&second.ids, KIND, "last");
    second.commit(std::slice::from_ref(&last)).await;
    eventually("taken over", TIMEOUT, || async {
        streamed(&nats, "ORDERS").await.last().is_some_and(|event| event.id == last.id)
    })
    .await;
    second.stop().await;
}

#[tokio::test]
async fn an_older_generation_is_published_first() {
    let nats = stack().await.nats_url();
    let db = database("orders").await;
    // Rows that another cluster's transactions wrote: their ids are far above this one's.
    let before = store(&db);
    let settings_of = db.settings();
    let pool = Pool::connect("system", &settings_of.system_url, &settings_of, &Registry::new()).unwrap();
    let node = Node::start(&db, ORDERS, &settings("nats://127.0.0.1:9"), vec![]).await;
    let old = events(&node.ids, KIND, 5);
    let tx = pool.begin().await.unwrap();
    node.outbox.append(&tx, &old).await.unwrap();
    tx.commit().await.unwrap();
    db.query("UPDATE outbox SET generation = 1, xid = (9000000000000000000 + (xid::text)::bigint)::text::xid8", &[])
        .await;
    db.query("INSERT INTO outbox_generation (generation) VALUES (1)", &[]).await;
    let new = events(&node.ids, KIND, 5);
    node.commit(&new).await;
    node.stop().await;
    assert_eq!(before.generations().await.unwrap()[0], 1);

    let node = Node::start(&db, ORDERS, &settings(&nats), vec![]).await;
    eventually("published", TIMEOUT, || async { streamed(&nats, "ORDERS").await.len() == 10 }).await;
    assert_eq!(ids_of(&streamed(&nats, "ORDERS").await), ids_of(&[old, new].concat()));
    node.stop().await;
}

/// Reads the outbox ten times, as the relay does. Returns how many frames the last read had, and how many rows this
/// transaction has read by full scans and fetched through indexes. A statistic of a table counts its scans, one of an index
/// what was fetched through it; of another session they would come late.
const READS: &str = "CREATE FUNCTION reads(OUT frames bigint, OUT scanned bigint, OUT fetched bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR round IN 1..10 LOOP
        SELECT count(*) INTO frames FROM outbox_frames(messaging_generation(), '0', '00000000-0000-0000-0000-000000000000', true, 10, 1000000);
    END LOOP;
    SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid)) FILTER (WHERE relkind = 'r'), 0),
        coalesce(sum(pg_stat_get_xact_tuples_fetched(oid)) FILTER (WHERE relkind = 'i'), 0)
    INTO scanned, fetched FROM pg_class WHERE relname ~ '^outbox_(y|default)';
END $$";

async fn reads(tx: &Tx) -> (i64, i64, i64) {
    let row = tx.query_one("SELECT frames, scanned, fetched FROM reads()", &[]).await.unwrap();
    (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap())
}

#[tokio::test]
async fn the_read_uses_the_index_whatever_the_statistics_say() {
    let db = database("orders").await;
    let node = Node::start(&db, ORDERS, &settings("nats://127.0.0.1:9"), vec![]).await;
    db.query(READS, &[]).await;
    let session = node.pool.begin().await.unwrap();
    // The plan is made while the table is empty, and kept.
    assert_eq!(reads(&session).await, (0, 0, 0));
    let tx = node.pool.begin().await.unwrap();
    for event in events(&node.ids, KIND, 2_000) {
        node.outbox.append(&tx, &[event]).await.unwrap();
    }
    tx.commit().await.unwrap();
    // Other tests' transactions may hold the rows back for a moment.
    let (scanned, fetched) = eventually("settled", TIMEOUT, || async {
        let (frames, scanned, fetched) = reads(&session).await;
        (frames == 10).then_some((scanned, fetched))
    })
    .await;
    assert_eq!(scanned, 0, "rows were read by a full scan");
    assert!((100..1_000).contains(&fetched), "{fetched} rows were fetched for ten reads of ten");
    drop(session);
    node.stop().await;
}

#[tokio::test]
async fn rows_that_a_running_transaction_holds_back_are_not_fetched() {
    let db = database("orders").await;
    let node = Node::start(&db, ORDERS, &settings("nats://127.0.0.1:9"), vec![]).await;
    db.query(READS, &[]).await;
    let slow = node.pool.begin().await.unwrap();
    node.outbox.append(&slow, &events(&node.ids, KIND, 1)).await.unwrap();
    for _ in 0..500 {
        node.commit(&events(&node.ids, KIND, 1)).await;
    }
    let session = node.pool.begin().await.unwrap();
    assert_eq!(reads(&session).await, (0, 0, 0), "what is held back costs nothing");
    drop((session, slow));
    node.stop().await;
}

#[tokio::test]
async fn an_event_that_no_frame_can_hold_is_refused_when_it_is_appended() {
    let db = database("orders").await;
    let node = Node::start(&db, ORDERS, &settings("nats://127.0.0.1:9"), vec![]).await;
    let huge = event(&node.ids, KIND, &"x".repeat(1_100_000));
    let tx = node.pool.begin().await.unwrap();
    let error = node.outbox.append(&tx, &[huge]).await.unwrap_err();
    assert!(error.to_string().contains("more than the 1000000"), "{error}");
    tx.rollback().await.unwrap();
    node.stop().await;
}
