//! A transaction's decision stays valid: no other transaction changes its basis meanwhile. Two transactions, stepped by
//! hand.

use flotilla_proto::inventory::v1::StockRejected;
use flotilla_testkit::OpenTransaction;

use crate::world::World;

/// Removes six units of tea in a transaction that is left open, as another replica would.
async fn six_taken(world: &World) -> OpenTransaction {
    let statements = "UPDATE stock SET on_hand = on_hand - 6 WHERE product_id = 'tea';
        INSERT INTO stock_adjustments (product_id, request_id, delta, adjusted_by, on_hand_after, reserved_after)
        SELECT product_id, 'by hand', -6, gen_random_uuid(), on_hand, reserved FROM stock WHERE product_id = 'tea'";
    world.database.hold(statements).await
}

async fn step(other: OpenTransaction) {
    other.wait_until_blocking().await;
    other.commit().await;
}

#[tokio::test]
async fn a_reservation_uses_the_stock_that_another_transaction_leaves() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let other = six_taken(&world).await;
    let command = world.reserve(world.ids.next(), &[("tea", 5)]);
    let (rejected, ()) = tokio::join!(world.ask::<StockRejected>(&command), step(other));
    assert_eq!(rejected.product_ids, ["tea"]);
    assert_eq!(world.level("tea").await, (4, 0));
    world.finish().await;
}

#[tokio::test]
async fn an_adjustment_adds_to_the_stock_that_another_transaction_leaves() {
    let world = World::start().await;
    world.product("tea", 10).await;
    let other = six_taken(&world).await;
    let (adjusted, ()) = tokio::join!(world.adjust("tea", 5, "key"), step(other));
    assert_eq!(adjusted.unwrap().on_hand, 9);
    assert_eq!(world.level("tea").await, (9, 0));
    world.finish().await;
}
