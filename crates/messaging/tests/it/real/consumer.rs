//! Consumers on PostgreSQL: repeats, poison, conflicts, parked messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_messaging::{Claim, Event};
use flotilla_testkit::{Database, assert_no_pending_acks, assert_nothing_left, eventually, stack};
use uuid::Uuid;

use super::{
    CONSUMER, FORGET, Node, ORDERS, PAYMENTS, Recording, TIMEOUT, applied, database, eventually_applied, inject,
    settings, streamed,
};
use crate::fixtures::{COMMAND, KIND, SUBJECT, UNKNOWN, event, events};

struct Pair {
    nats: String,
    orders_db: Database,
    payments_db: Database,
    orders: Node,
    payments: Node,
    handler: Arc<Recording>,
}

impl Pair {
    async fn start() -> Self {
        let nats = stack().await.nats_url();
        let (orders_db, payments_db) = (database("orders").await, database("payments").await);
        let handler = Arc::new(Recording::default());
        let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
        let consumers = vec![(CONSUMER, Arc::clone(&handler))];
        let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), consumers).await;
        Self { nats, orders_db, payments_db, orders, payments, handler }
    }

    async fn parked(&self) -> Vec<(Uuid, String, i32, String)> {
        let sql = "SELECT message_id, state, attempts, reason FROM parked ORDER BY message_id";
        let row = |row: &flotilla_postgres::tokio_postgres::Row| (row.get(0), row.get(1), row.get(2), row.get(3));
        self.payments_db.query(sql, &[]).await.iter().map(row).collect()
    }

    async fn stop(self) {
        self.orders.stop().await;
        self.payments.stop().await;
    }
}

#[tokio::test]
async fn a_redelivered_event_is_applied_once() {
    let pair = Pair::start().await;
    let sent = events(&pair.orders.ids, KIND, 50);
    pair.orders.commit(&sent).await;
    eventually_applied(&pair.payments_db, &sent).await;
    for _ in 0..3 {
        inject(&pair.nats, SUBJECT, &sent[10..40]).await;
    }
    assert_no_pending_acks(&pair.nats, "ORDERS").await;
    eventually_applied(&pair.payments_db, &sent).await;
    assert_nothing_left(&[&pair.orders_db, &pair.payments_db], &pair.nats, &["ORDERS"]).await;
    pair.stop().await;
}

#[tokio::test]
async fn an_event_in_another_frame_reaches_only_a_handler_that_claims_frames() {
    for (claims, wanted) in [(Claim::Event, 1), (Claim::Frame, 2)] {
        let handler = Arc::new(Recording { claims, ..Recording::default() });
        let nats = stack().await.nats_url();
        let (orders_db, payments_db) = (database("orders").await, database("payments").await);
        let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
        let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, handler)]).await;
        let command = event(&orders.ids, COMMAND, "charge");
        orders.commit(std::slice::from_ref(&command)).await;
        eventually_applied(&payments_db, std::slice::from_ref(&command)).await;
        orders.commit(std::slice::from_ref(&command)).await;
        assert_nothing_left(&[&orders_db], &nats, &["ORDERS"]).await;
        assert_eq!(applied(&payments_db).await, vec![command.id; wanted]);
        // The frames come again whole, in other messages.
        orders.stop().await;
        orders_db.query(FORGET, &[]).await;
        let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
        eventually("published again", TIMEOUT, || async { streamed(&nats, "ORDERS").await.len() == 4 }).await;
        assert_nothing_left(&[&orders_db, &payments_db], &nats, &["ORDERS"]).await;
        assert_eq!(applied(&payments_db).await, vec![command.id; wanted]);
        orders.stop().await;
        payments.stop().await;
    }
}

#[tokio::test]
async fn a_poison_event_is_parked_its_frame_mates_are_applied_and_it_ends_as_a_dead_letter() {
    let pair = Pair::start().await;
    let mut sent = events(&pair.orders.ids, KIND, 30);
    let poison = event(&pair.orders.ids, KIND, "poison");
    sent.insert(17, poison.clone());
    pair.orders.commit(&sent).await;
    sent.remove(17);
    eventually_applied(&pair.payments_db, &sent).await;
    let parked = pair.parked().await;
    assert_eq!((parked.len(), parked[0].0), (1, poison.id));
    assert!(parked[0].3.contains("23502"), "{}", parked[0].3);
    assert_no_pending_acks(&pair.nats, "ORDERS").await;
    eventually("dead", TIMEOUT, || async { pair.parked().await[0].1 == "dead" }).await;
    assert_eq!(pair.parked().await[0].2, 4);
    let copy = eventually("a copy in the stream", TIMEOUT, || async {
        streamed(&pair.nats, "PAYMENTS").await.into_iter().find(|event| event.id == poison.id)
    })
    .await;
    assert_eq!(copy.subject, "flotilla.payments.dead_letters");
    assert_eq!((copy.data.clone(), copy.kind.as_str()), (poison.data, KIND));
    pair.stop().await;
}

#[tokio::test]
async fn an_unknown_type_is_parked_as_a_dead_letter() {
    let pair = Pair::start().await;
    let mut sent = events(&pair.orders.ids, KIND, 3);
    // PostgreSQL's text can't hold a NUL: that must not make it unparkable.
    let unknown = event(&pair.orders.ids, &format!("{UNKNOWN}\0"), "what");
    pair.orders.commit(&sent).await;
    inject_when_there(&pair, &[sent.remove(0), unknown.clone()]).await;
    let parked = eventually("parked", TIMEOUT, || async { pair.parked().await.pop() }).await;
    assert_eq!((parked.0, parked.1.as_str()), (unknown.id, "dead"));
    assert_no_pending_acks(&pair.nats, "ORDERS").await;
    pair.stop().await;
}

#[tokio::test]
async fn an_event_with_a_huge_attribute_is_parked_and_holds_nothing_up() {
    let pair = Pair::start().await;
    let sent = events(&pair.orders.ids, KIND, 3);
    let huge = Event { aggregate: "x".repeat(600_000), ..event(&pair.orders.ids, UNKNOWN, "what") };
    let most = Event { aggregate: "x".repeat(1_024), ..event(&pair.orders.ids, UNKNOWN, "what") };
    let full = Event { data: vec![b'x'; 990_000].into(), ..event(&pair.orders.ids, UNKNOWN, "what") };
    pair.orders.commit(&sent).await;
    inject_when_there(&pair, &sent[..1]).await;
    for bad in [huge, most, full] {
        inject(&pair.nats, SUBJECT, &[bad]).await;
    }
    eventually("parked", TIMEOUT, || async { pair.parked().await.len() == 3 }).await;
    let more = events(&pair.orders.ids, KIND, 3);
    pair.orders.commit(&more).await;
    eventually_applied(&pair.payments_db, &[sent, more].concat()).await;
    assert_no_pending_acks(&pair.nats, "ORDERS").await;
    pair.stop().await;
}

async fn inject_when_there(pair: &Pair, events: &[Event]) {
    eventually("stream", TIMEOUT, || async { !streamed(&pair.nats, "ORDERS").await.is_empty() }).await;
    inject(&pair.nats, SUBJECT, events).await;
}

#[tokio::test]
async fn deadlocks_timeouts_and_lost_connections_retry_the_batch_whole_and_park_nothing() {
    for state in ["40P01", "40001", "57014", "57P01", "55P03"] {
        let pair = Pair::start().await;
        pair.handler.failures.store(3, Ordering::SeqCst);
        let mut sent = events(&pair.orders.ids, KIND, 10);
        sent.push(event(&pair.orders.ids, KIND, &format!("fail:{state}")));
        pair.orders.commit(&sent).await;
        eventually_applied(&pair.payments_db, &sent).await;
        assert_eq!(pair.handler.failures.load(Ordering::SeqCst), 0);
        let counted: i64 = pair.payments_db.value("SELECT count(*) FROM parked", &[]).await;
        assert_eq!(counted, 0, "{state} was held against a message");
        pair.stop().await;
    }
}

#[tokio::test]
async fn a_parked_event_is_applied_by_a_later_attempt() {
    let pair = Pair::start().await;
    // 22P02 is a data error: twice in the batch and alone, then in the first retries.
    pair.handler.failures.store(4, Ordering::SeqCst);
    let sent = [event(&pair.orders.ids, KIND, "good"), event(&pair.orders.ids, KIND, "fail:22P02")];
    pair.orders.commit(&sent).await;
    eventually_applied(&pair.payments_db, &sent).await;
    assert_nothing_left(&[&pair.orders_db, &pair.payments_db], &pair.nats, &["ORDERS"]).await;
    // Its inbox row is there: a redelivery is a repeat.
    inject(&pair.nats, SUBJECT, &sent).await;
    assert_no_pending_acks(&pair.nats, "ORDERS").await;
    eventually_applied(&pair.payments_db, &sent).await;
    pair.stop().await;
}

#[tokio::test]
async fn an_id_older_than_the_inbox_remembers_is_parked_and_never_applied() {
    let pair = Pair::start().await;
    let first = events(&pair.orders.ids, KIND, 1);
    pair.orders.commit(&first).await;
    eventually_applied(&pair.payments_db, &first).await;
    let mut old = event(&pair.orders.ids, KIND, "old");
    let too_old = settings(&pair.nats).inbox_retention() + Duration::from_secs(3_600);
    old.id = Uuid::from_u128(old.id.as_u128() - (too_old.as_millis() << 80));
    inject(&pair.nats, SUBJECT, std::slice::from_ref(&old)).await;
    let parked = eventually("parked", TIMEOUT, || async { pair.parked().await.pop() }).await;
    assert_eq!((parked.0, parked.1.as_str()), (old.id, "dead"));
    assert!(!applied(&pair.payments_db).await.contains(&old.id));
    pair.stop().await;
}

#[tokio::test]
async fn replicas_of_a_consumer_apply_each_event_once() {
    let pair = Pair::start().await;
    let handler = Arc::new(Recording::default());
    let second = Node::start(&pair.payments_db, PAYMENTS, &settings(&pair.nats), vec![(CONSUMER, handler)]).await;
    let mut sent = Vec::new();
    for _ in 0..60 {
        let batch = events(&pair.orders.ids, KIND, 20);
        pair.orders.commit(&batch).await;
        inject_some(&pair, &batch).await;
        sent.extend(batch);
    }
    eventually_applied(&pair.payments_db, &sent).await;
    assert_no_pending_acks(&pair.nats, "ORDERS").await;
    eventually_applied(&pair.payments_db, &sent).await;
    second.stop().await;
    pair.stop().await;
}

/// The same events again, in the other order, while the relay sends them.
async fn inject_some(pair: &Pair, batch: &[Event]) {
    let mut reversed = batch.to_vec();
    reversed.reverse();
    if !streamed_exists(&pair.nats).await {
        return;
    }
    inject(&pair.nats, SUBJECT, &reversed).await;
}

async fn streamed_exists(nats: &str) -> bool {
    let client = flotilla_testkit::nats_client(nats).await;
    async_nats::jetstream::new(client).get_stream("ORDERS").await.is_ok()
}

#[tokio::test]
async fn a_killed_replica_loses_nothing() {
    let pair = Pair::start().await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        let batch = events(&pair.orders.ids, KIND, 50);
        pair.orders.commit(&batch).await;
        sent.extend(batch);
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    pair.payments.kill().await;
    let handler = Arc::new(Recording::default());
    let payments = Node::start(&pair.payments_db, PAYMENTS, &settings(&pair.nats), vec![(CONSUMER, handler)]).await;
    eventually_applied(&pair.payments_db, &sent).await;
    payments.stop().await;
    pair.orders.stop().await;
}
