//! The relay on PostgreSQL: what transaction ids, leases and cursors do there.

use std::sync::Arc;
use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_messaging::postgres::PgStore;
use flotilla_messaging::store::{Cursor, OutboxStore};
use flotilla_postgres::Pool;
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
    orders.outbox.wake();
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

/// Waits for the partitions of the coming days: one that is made while the default partition has rows scans these.
async fn until_partitioned(db: &Database) {
    let partitions = "SELECT count(*) FROM pg_class WHERE relname LIKE 'outbox_y%' AND relkind = 'r'";
    eventually("partitions", TIMEOUT, || async { db.value::<i64>(partitions, &[]).await == 3 }).await;
}

#[tokio::test]
async fn the_read_uses_the_index_whatever_the_statistics_say() {
    let nats = "nats://127.0.0.1:9";
    let db = database("orders").await;
    let node = Node::start(&db, ORDERS, &settings(nats), vec![]).await;
    until_partitioned(&db).await;
    let store = store(&db);
    let generation = *store.generations().await.unwrap().last().unwrap();
    // The plan is made while the table is empty, and kept.
    for _ in 0..10 {
        assert!(store.read(Cursor::start_of(generation), true, 10, usize::MAX).await.unwrap().is_empty());
    }
    let tx = node.pool.begin().await.unwrap();
    for event in events(&node.ids, KIND, 5_000) {
        node.outbox.append(&tx, &[event]).await.unwrap();
    }
    tx.commit().await.unwrap();
    // The table of generations has one row and is read by a full scan.
    let scanned = "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_all_tables
        WHERE relname LIKE 'outbox%' AND relname <> 'outbox_generation'";
    // Other tests' transactions may hold the rows back for a moment.
    eventually("settled", TIMEOUT, || async {
        store.read(Cursor::start_of(generation), true, 10, usize::MAX).await.unwrap().len() == 10
    })
    .await;
    db.query("SELECT pg_stat_force_next_flush()", &[]).await;
    assert_eq!(db.value::<i64>(scanned, &[]).await, 0);
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
