//! The broker is away: orders are accepted, their clocks stand still, and they flow on when it is back.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_proto::orders::v1::OrderState;
use flotilla_testkit::{Stack, eventually};

use crate::world::{TIMEOUT, World};

#[tokio::test]
async fn orders_are_accepted_and_their_timeouts_pause_while_the_broker_is_down() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |settings| {
        settings.saga.tick = HumanDuration::from_millis(20).into();
        settings.saga.backoff = HumanDuration::from_millis(50).into();
        settings.saga.backoff_max = HumanDuration::from_millis(50).into();
        settings.saga.resends = 4.into();
    })
    .await;
    stack.kill_nats().await;
    let order = world.order().await;
    // Many times what it would take to give the step up. That nothing happens can't be awaited.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.get(order).await.state(), OrderState::Reserving);
    let sql = "SELECT attempt, published_at IS NULL AND due_at IS NULL FROM sagas WHERE order_id = $1";
    let row = world.database.query(sql, &[&order]).await.remove(0);
    assert_eq!((row.get(0), row.get(1)), (1_i32, true));

    stack.restart_nats().await.unwrap();
    world.others.listen().await;
    // The clock runs now: the step is sent again, under its id.
    let sent = world.others.wait_for_times(order, "ReserveStock", 2).await;
    assert_eq!(sent[0].id, sent[1].id);
    world.others.wait_for(order, "ReleaseStock").await;
    world.others.publish(&[world.others.released(order)]).await;
    world.others.publish(&[world.others.refunded(order)]).await;
    world.until(order, OrderState::Rejected).await;
    world.stop().await;
}

#[tokio::test]
async fn a_timeout_pauses_while_the_broker_is_down_although_others_were_published_before() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |settings| {
        settings.saga.tick = HumanDuration::from_millis(20).into();
        settings.saga.backoff = HumanDuration::from_millis(50).into();
        settings.saga.backoff_max = HumanDuration::from_secs(600).into();
    })
    .await;
    let published = world.order().await;
    world.others.wait_for(published, "ReserveStock").await;
    let clock_runs: &'static str = "SELECT published_at IS NOT NULL FROM sagas WHERE order_id = $1";
    let holds = |sql, order| {
        let world = &world;
        async move { world.database.value::<bool>(sql, &[&order]).await }
    };
    let runs = |order| holds(clock_runs, order);
    eventually("the clock of what is published runs", TIMEOUT, || runs(published)).await;
    stack.kill_nats().await;
    let order = world.order().await;
    let waited = "SELECT sent_at <= clock_timestamp() - interval '50 ms' FROM sagas WHERE order_id = $1";
    eventually("long enough for its clock", TIMEOUT, || holds(waited, order)).await;

    // Proof that the worker has checked both since: it restarts the clock of the published one.
    let stop = "UPDATE sagas SET published_at = NULL, due_at = NULL, attempt = 1, sent_xid = '3' WHERE order_id = $1";
    world.database.query(stop, &[&published]).await;
    let again = "SELECT published_at IS NOT NULL OR attempt > 1 FROM sagas WHERE order_id = $1";
    eventually("the worker has looked", TIMEOUT, || holds(again, published)).await;
    assert!(!runs(order).await, "a clock runs whose command is not published");
    let attempt: i32 = world.database.value("SELECT attempt FROM sagas WHERE order_id = $1", &[&order]).await;
    assert_eq!(attempt, 1);

    stack.restart_nats().await.unwrap();
    eventually("its clock runs once it is published", TIMEOUT, || runs(order)).await;
    world.service.stop().await;
}
