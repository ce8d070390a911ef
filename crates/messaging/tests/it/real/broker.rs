//! The broker is disposable: wiped, cut or away, it loses nothing that was committed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flotilla_messaging::broker::nats::NatsBroker;
use flotilla_messaging::broker::{Broker, StreamConfig};
use flotilla_messaging::frame::{FramePart, Message};
use flotilla_messaging::{BrokerError, migrations};
use flotilla_servers::{Layout, Nats, NatsOptions, provision};
use flotilla_testkit::{Stack, assert_outbox_published, eventually};
use uuid::Uuid;

use super::{
    CONSUMER, Node, ORDERS, PAYMENTS, TIMEOUT, database, eventually_applied, ids_of, prepare, settings, streamed,
};
use crate::fixtures::{KIND, event, events};

#[tokio::test]
async fn a_wiped_broker_gets_everything_again_and_each_event_is_applied_once() {
    let stack = Stack::start().await.unwrap();
    let nats = stack.nats_url();
    let own = async |service| prepare(stack.database(service, vec![("messaging_history", migrations())]).await).await;
    let (orders_db, payments_db) = (own("orders").await, own("payments").await);
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, Arc::default())]).await;
    let mut sent = Vec::new();
    for round in 0..6 {
        let batch = events(&orders.ids, KIND, 100);
        orders.commit(&batch).await;
        sent.extend(batch);
        if round == 2 {
            eventually_applied(&payments_db, &sent).await;
            stack.wipe_nats().await.unwrap();
            stack.restart_nats().await.unwrap();
        }
    }
    eventually_applied(&payments_db, &sent).await;
    let wanted: Vec<Uuid> = ids_of(&sent);
    eventually("republished", TIMEOUT, || async {
        let found = ids_of(&streamed(&nats, "ORDERS").await);
        wanted.iter().all(|id| found.contains(id))
    })
    .await;
    flotilla_testkit::assert_nothing_left(&[&orders_db, &payments_db], &nats, &["ORDERS"]).await;
    eventually_applied(&payments_db, &sent).await;
    orders.stop().await;
    payments.stop().await;
}

#[tokio::test]
async fn what_is_committed_before_the_broker_is_there_flows_when_it_comes() {
    let stack = Stack::start().await.unwrap();
    let nats = stack.nats_url();
    stack.kill_nats().await;
    let own = async |service| prepare(stack.database(service, vec![("messaging_history", migrations())]).await).await;
    let (orders_db, payments_db) = (own("orders").await, own("payments").await);
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, Arc::default())]).await;
    let sent = events(&orders.ids, KIND, 100);
    orders.commit(&sent).await;
    stack.restart_nats().await.unwrap();
    eventually_applied(&payments_db, &sent).await;
    // And once more, for a connection that was there.
    stack.kill_nats().await;
    let more = events(&orders.ids, KIND, 100);
    orders.commit(&more).await;
    stack.restart_nats().await.unwrap();
    eventually_applied(&payments_db, &[sent, more].concat()).await;
    flotilla_testkit::assert_nothing_left(&[&orders_db, &payments_db], &nats, &["ORDERS"]).await;
    orders.stop().await;
    payments.stop().await;
}

/// A server of its own, whose directory can be put back to an earlier state, as a power cut does to what was acked
/// and not synced.
pub async fn own_nats(name: &str) -> Nats {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla");
    let layout = Layout::open(&root).unwrap();
    let binaries = provision(&layout, &|_| ()).await.unwrap();
    let name = format!("test-{}-{name}", std::process::id());
    Nats::start(&binaries, &layout, &name, NatsOptions::default()).await.unwrap()
}

fn copy(from: &Path, to: &Path) {
    // With owners and modes: the server may run as another user.
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn a_lost_tail_is_published_again_from_the_last_record_that_holds() {
    let mut server = own_nats("tail").await;
    let nats = server.url();
    let (orders_db, payments_db) = (database("orders").await, database("payments").await);
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, Arc::default())]).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        let batch = events(&orders.ids, KIND, 3);
        orders.commit(&batch).await;
        sent.extend(batch);
        eventually_applied(&payments_db, &sent).await;
    }
    server.stop().await.unwrap();
    let kept = server.store_dir().with_extension("kept");
    copy(&server.store_dir(), &kept);
    server.restart().await.unwrap();
    for _ in 0..5 {
        let batch = events(&orders.ids, KIND, 3);
        orders.commit(&batch).await;
        sent.extend(batch);
        eventually_applied(&payments_db, &sent).await;
    }
    assert_outbox_published(&orders_db).await;
    server.kill().await;
    std::fs::remove_dir_all(server.store_dir()).unwrap();
    std::fs::rename(&kept, server.store_dir()).unwrap();
    server.restart().await.unwrap();

    let last = event(&orders.ids, KIND, "last");
    orders.commit(std::slice::from_ref(&last)).await;
    sent.push(last);
    eventually_applied(&payments_db, &sent).await;
    eventually("republished", TIMEOUT, || async {
        let found = ids_of(&streamed(&nats, "ORDERS").await);
        sent.iter().all(|event| found.contains(&event.id))
    })
    .await;
    let found = ids_of(&streamed(&nats, "ORDERS").await);
    let first_again = found.iter().filter(|id| **id == sent[0].id).count();
    assert_eq!(first_again, 1, "what the stream still held was published again");
    flotilla_testkit::assert_nothing_left(&[&orders_db, &payments_db], &nats, &["ORDERS"]).await;
    eventually_applied(&payments_db, &sent).await;
    orders.stop().await;
    payments.stop().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_deleted_consumer_starts_again_and_applies_nothing_twice() {
    let nats = flotilla_testkit::stack().await.nats_url();
    let (orders_db, payments_db) = (database("orders").await, database("payments").await);
    let orders = Node::start(&orders_db, ORDERS, &settings(&nats), vec![]).await;
    let payments = Node::start(&payments_db, PAYMENTS, &settings(&nats), vec![(CONSUMER, Arc::default())]).await;
    let mut sent = events(&orders.ids, KIND, 50);
    orders.commit(&sent).await;
    eventually_applied(&payments_db, &sent).await;
    let client = flotilla_testkit::nats_client(&nats).await;
    let stream = async_nats::jetstream::new(client).get_stream("ORDERS").await.unwrap();
    stream.delete_consumer(CONSUMER.name).await.unwrap();
    let more = events(&orders.ids, KIND, 50);
    orders.commit(&more).await;
    sent.extend(more);
    eventually_applied(&payments_db, &sent).await;
    tokio::time::timeout(Duration::from_secs(10), payments.stop()).await.unwrap();
    orders.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_shorter_than_expected_takes_no_message() {
    let nats = flotilla_testkit::stack().await.nats_url();
    let broker = NatsBroker::connect("orders", &settings(&nats)).await.unwrap();
    let config = StreamConfig { name: "ORDERS", subjects: vec!["flotilla.orders.>".to_owned()] };
    let mark = eventually("stream", TIMEOUT, || async { broker.ensure_stream(&config).await }).await;
    assert_eq!((mark.mark.sequence, mark.first, mark.deleted), (0, 1, 0));
    let message = |subject: &str| Message {
        subject: subject.to_owned(),
        frames: vec![FramePart { id: Uuid::from_u128(1), bytes: 1 }],
        events: 1,
        payload: "x".into(),
    };
    let messages = |count: usize| vec![message("flotilla.orders.events"); count];
    assert_eq!(broker.publish("ORDERS", 0, messages(3)).await.unwrap(), [1, 2, 3]);
    for wrong in [4, 5, 100] {
        let error = broker.publish("ORDERS", wrong, messages(3)).await.unwrap_err();
        assert!(matches!(error, BrokerError::WrongLastSequence(_)), "{wrong}: {error}");
    }
    assert_eq!(broker.publish("ORDERS", 3, messages(1)).await.unwrap(), [4]);
    let found = broker.stream_state("ORDERS").await.unwrap().unwrap();
    assert_eq!((found.mark.created, found.mark.sequence), (mark.mark.created, 4));
    assert_eq!(broker.stream_state("NONE").await.unwrap(), None);
    let refused = broker.publish("ORDERS", 4, vec![message("nowhere")]).await;
    assert!(matches!(refused, Err(BrokerError::NoStream(_))), "{refused:?}");
    broker.delete_consumers("NONE").await.unwrap();
}
