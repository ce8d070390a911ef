//! Servers, databases and the assertions about them.

use flotilla_testkit::{
    Stack, assert_no_pending_acks, assert_nothing_parked, assert_outbox_published, eventually, nats_client, stack,
};
use futures::FutureExt as _;

fn messaging() -> Vec<(&'static str, flotilla_postgres::refinery::Runner)> {
    vec![("messaging_history", flotilla_messaging::migrations())]
}

#[tokio::test]
async fn every_database_is_fresh_and_migrated() {
    let stack = stack().await;
    let one = stack.database("orders", messaging()).await;
    let other = stack.database("orders", messaging()).await;
    assert_ne!(one.name, other.name);
    one.query("INSERT INTO outbox_generation (generation) VALUES (7)", &[]).await;
    assert_eq!(one.value::<i64>("SELECT count(*) FROM outbox_generation", &[]).await, 1);
    assert_eq!(other.value::<i64>("SELECT count(*) FROM outbox_generation", &[]).await, 0);
    assert_outbox_published(&one).await;
    assert_nothing_parked(&one).await;
}

#[tokio::test]
async fn a_parked_message_fails_the_assertion() {
    let database = stack().await.database("orders", messaging()).await;
    database
        .query(
            "INSERT INTO parked (consumer, message_id, subject, kind, event, reason, state, next_attempt_at)
             VALUES ('c', gen_random_uuid(), 's', 'k', '', 'because', 'dead', now())",
            &[],
        )
        .await;
    let panic = std::panic::AssertUnwindSafe(assert_nothing_parked(&database)).catch_unwind().await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("c k dead: because"), "{message}");
}

#[tokio::test]
async fn streams_of_one_test_are_not_seen_by_another() {
    let stack = stack().await;
    let (one, other) = (stack.nats_url(), stack.nats_url());
    let config = || async_nats::jetstream::stream::Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..Default::default()
    };
    let context = async_nats::jetstream::new(nats_client(&one).await);
    context.create_stream(config()).await.unwrap();
    assert_no_pending_acks(&one, "ORDERS").await;
    let context = async_nats::jetstream::new(nats_client(&other).await);
    assert!(context.get_stream("ORDERS").await.is_err());
}

#[tokio::test]
async fn the_stack_outlives_the_test_that_started_it() {
    // Each test has a runtime of its own: the servers must not hang on that of the first.
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { stack().await.nats_url() })
    });
    let url = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    nats_client(&url).await;
}

#[tokio::test]
async fn servers_of_ones_own_can_be_killed_and_come_back() {
    let own = Stack::start().await.unwrap();
    let database = own.database("orders", messaging()).await;
    own.kill_postgres().await;
    own.restart_postgres().await.unwrap();
    eventually("database back", flotilla_testkit::TIMEOUT, || async {
        database.value::<i64>("SELECT count(*) FROM outbox", &[]).await == 0
    })
    .await;
    let nats = own.nats_url();
    own.wipe_nats().await.unwrap();
    own.restart_nats().await.unwrap();
    nats_client(&nats).await;
    own.kill_redis().await;
    own.restart_redis().await.unwrap();
}
