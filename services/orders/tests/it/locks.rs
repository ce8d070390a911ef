//! A transaction's decision stays valid: no other transaction changes its basis meanwhile. Two transactions, stepped by
//! hand.

use flotilla_proto::orders::v1::OrderState;

use crate::world::World;

#[tokio::test]
async fn a_saga_continues_from_the_state_that_another_transaction_leaves() {
    let world = World::start().await;
    let order = world.order().await;
    world.others.wait_for(order, "ReserveStock").await;
    let moved = format!(
        "UPDATE sagas SET version = 7 WHERE order_id = '{order}'; UPDATE orders SET version = 7 WHERE id = '{order}'"
    );
    let other = world.database.hold(&moved).await;
    world.others.publish(&[world.others.reserved(order)]).await;
    other.wait_until_blocking().await;
    other.commit().await;
    let etag = world.until(order, OrderState::Charging).await.etag;
    assert!(etag.starts_with("\"8-"), "{etag}");
    world.stop().await;
}
