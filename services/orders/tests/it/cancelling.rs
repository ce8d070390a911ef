//! Cancelling: it wins in every state before confirmed, and ends when stock and money are back.

use flotilla_proto::inventory::v1::StockRejection;
use flotilla_proto::orders::v1::{OrderReason, OrderState};
use flotilla_rpc::Details;
use flotilla_testkit::eventually;
use futures::future::join_all;
use tonic::Code;
use uuid::Uuid;

use crate::world::{TIMEOUT, World};

/// Answers both compensations and sees the order cancelled.
async fn undone(world: &World, order: Uuid) {
    world.others.wait_for(order, "ReleaseStock").await;
    world.others.wait_for(order, "RefundPayment").await;
    world.others.publish(&[world.others.refunded(order)]).await;
    world.others.publish(&[world.others.released(order)]).await;
    assert_eq!(world.until(order, OrderState::Cancelled).await.reason(), OrderReason::Cancelled);
    world.others.wait_for(order, "OrderCancelled").await;
}

#[tokio::test]
async fn a_cancelled_order_returns_stock_and_money_in_every_state() {
    let world = World::start().await;
    let reserving = world.order().await;
    assert_eq!(world.cancel(reserving).await.unwrap().state(), OrderState::Compensating);
    undone(&world, reserving).await;

    let charging = world.charging().await;
    assert_eq!(world.cancel(charging).await.unwrap().state(), OrderState::Compensating);
    // Late successes of the steps that were under way don't stop it.
    world.others.publish(&[world.others.charged(charging)]).await;
    undone(&world, charging).await;
    world.stop().await;
}

#[tokio::test]
async fn an_order_cancelled_during_its_rejection_ends_as_cancelled() {
    let world = World::start().await;
    let order = world.charging().await;
    world.others.publish(&[world.others.declined(order)]).await;
    world.until(order, OrderState::Compensating).await;
    world.cancel(order).await.unwrap();
    world.others.publish(&[world.others.released(order)]).await;
    assert_eq!(world.until(order, OrderState::Cancelled).await.reason(), OrderReason::Cancelled);
    world.stop().await;
}

#[tokio::test]
async fn cancelling_again_changes_nothing() {
    let world = World::start().await;
    let order = world.order().await;
    let outcomes = join_all((0..10).map(|_| world.cancel(order))).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|order| order.etag.starts_with("\"2-"))));
    undone(&world, order).await;
    assert_eq!(world.cancel(order).await.unwrap().state(), OrderState::Cancelled);
    assert_eq!(world.others.received(order, "ReleaseStock").len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn an_order_with_another_final_state_cannot_be_cancelled() {
    let world = World::start().await;
    let confirmed = world.confirmed().await;
    let rejected = world.order().await;
    world.others.publish(&[world.others.rejected(rejected, StockRejection::OutOfStock)]).await;
    world.until(rejected, OrderState::Rejected).await;
    for (order, state) in [(confirmed, "confirmed"), (rejected, "rejected")] {
        let before = world.get(order).await;
        let status = world.cancel(order).await.unwrap_err();
        let details = Details::of(&status);
        assert_eq!((status.code(), details.reason.as_deref()), (Code::FailedPrecondition, Some("ORDER_ENDED")));
        assert_eq!(details.metadata.get("state").map(String::as_str), Some(state));
        assert_eq!(world.get(order).await, before);
    }
    world.stop().await;
}

#[tokio::test]
async fn an_outdated_etag_is_aborted() {
    let world = World::start().await;
    let order = world.charging().await;
    // The last one has the right version, but a different state: one that a restore has undone.
    for left in ["\"1\"", "\"1-00000000\"", "\"2-00000000\""] {
        let status = world.cancel_version(order, left).await.unwrap_err();
        let refused = (status.code(), Details::of(&status).reason);
        assert_eq!(refused, (Code::Aborted, Some("ETAG_MISMATCH".into())), "{left}");
    }
    assert_eq!(world.get(order).await.state(), OrderState::Charging);
    world.cancel_version(order, "\"2\"").await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn of_a_concurrent_cancellation_and_payment_exactly_one_wins() {
    let world = World::start().await;
    for _ in 0..5 {
        let order = world.charging().await;
        let charged = [world.others.charged(order)];
        let (cancelled, ()) = tokio::join!(world.cancel(order), world.others.publish(&charged));
        match cancelled {
            Ok(_) => undone(&world, order).await,
            Err(status) => {
                assert_eq!(status.code(), Code::FailedPrecondition);
                world.until(order, OrderState::Confirmed).await;
                assert!(world.others.received(order, "ReleaseStock").is_empty());
            }
        }
        let ends = ["OrderConfirmed", "OrderCancelled"];
        eventually("one end published", TIMEOUT, || async {
            ends.iter().map(|end| world.others.received(order, end).len()).sum::<usize>() == 1
        })
        .await;
    }
    world.stop().await;
}
