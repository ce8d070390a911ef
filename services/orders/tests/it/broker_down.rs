//! The broker is away: orders are accepted, their clocks stand still, and they flow on when it is back.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_proto::orders::v1::OrderState;
use flotilla_testkit::Stack;

use crate::world::World;

#[tokio::test]
async fn orders_are_accepted_and_their_clocks_stand_still_while_the_broker_is_down() {
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
    let sent = world.others.hear_times(order, "ReserveStock", 2).await;
    assert_eq!(sent[0].id, sent[1].id);
    world.others.hear(order, "ReleaseStock").await;
    world.others.say(&[world.others.released(order)]).await;
    world.others.say(&[world.others.refunded(order)]).await;
    world.until(order, OrderState::Rejected).await;
    world.stop().await;
}
