//! The clock of a saga's step starts with the publication of the step, never earlier.

use flotilla_config::HumanDuration;
use flotilla_proto::orders::v1::OrderState;
use flotilla_testkit::eventually;
use uuid::Uuid;

use crate::world::{TIMEOUT, World};

/// Whether the present step counts as published, and whether it has a due time.
async fn clock(world: &World, order: Uuid) -> (bool, bool) {
    let sql = "SELECT published_at IS NOT NULL, due_at IS NOT NULL FROM sagas WHERE order_id = $1";
    let row = world.database.query(sql, &[&order]).await.remove(0);
    (row.get(0), row.get(1))
}

/// Marks the step as published and due at this time.
async fn set_clock(world: &World, order: Uuid, due: &str) {
    let sql = format!("UPDATE sagas SET published_at = clock_timestamp(), due_at = {due} WHERE order_id = $1");
    world.database.query(&sql, &[&order]).await;
}

const IN_AN_HOUR: &str = "clock_timestamp() + interval '1 hour'";

#[tokio::test]
async fn a_new_step_has_a_timeout_of_its_own() {
    let world = World::start().await;
    let order = world.order().await;
    world.others.wait_for(order, "ReserveStock").await;
    set_clock(&world, order, IN_AN_HOUR).await;
    world.others.publish(&[world.others.reserved(order)]).await;
    world.until(order, OrderState::Charging).await;
    assert_eq!(clock(&world, order).await, (false, false), "the clock of the step before goes on");

    // An ended saga has no clock.
    set_clock(&world, order, IN_AN_HOUR).await;
    world.others.publish(&[world.others.charged(order)]).await;
    world.until(order, OrderState::Confirmed).await;
    assert!(!clock(&world, order).await.1, "an order that has ended is due");
    world.stop().await;
}

#[tokio::test]
async fn a_step_that_is_sent_again_waits_for_its_publication_again() {
    let world = World::start_with(|settings| settings.saga.tick = HumanDuration::from_millis(20).into()).await;
    let order = world.order().await;
    world.others.wait_for(order, "ReserveStock").await;
    set_clock(&world, order, "clock_timestamp()").await;
    let attempt = "SELECT attempt = 2 FROM sagas WHERE order_id = $1";
    eventually("sent again", TIMEOUT, || async { world.database.value::<bool>(attempt, &[&order]).await }).await;
    // For an hour, the shortest wait of a step, nothing checks whether it is published.
    assert_eq!(clock(&world, order).await, (false, false), "the clock of the attempt before goes on");
    world.others.wait_for_times(order, "ReserveStock", 2).await;
    world.stop().await;
}

#[tokio::test]
async fn a_reply_that_starts_no_step_leaves_the_timeout_unchanged() {
    let world = World::start().await;
    let order = world.charging().await;
    world.others.publish(&[world.others.declined(order)]).await;
    world.until(order, OrderState::Compensating).await;
    set_clock(&world, order, IN_AN_HOUR).await;
    // The command already in transit answers it.
    world.others.publish(&[world.others.expired(order)]).await;
    world.others.wait_for_times(order, "ReleaseStock", 2).await;
    assert_eq!(clock(&world, order).await, (true, true), "a repeat has stopped the clock");
    world.others.publish(&[world.others.released(order)]).await;
    world.until(order, OrderState::Rejected).await;
    world.stop().await;
}
