//! The saga on the real broker, its participants played by hand.

use flotilla_proto::inventory::v1::StockRejection;
use flotilla_proto::orders::v1::{OrderConfirmed, OrderReason, OrderRejected, OrderState};
use flotilla_proto::payments::v1::ChargePayment;
use flotilla_testkit::eventually;

use crate::world::{TIMEOUT, World};

#[tokio::test]
async fn an_order_is_reserved_charged_confirmed_and_its_stock_committed() {
    let world = World::start().await;
    let order = world.order().await;
    let reserve = world.others.wait_for(order, "ReserveStock").await;
    let reserved = world.others.reserved(order);
    world.others.publish(std::slice::from_ref(&reserved)).await;
    let charge = world.others.wait_for(order, "ChargePayment").await;
    assert_eq!(charge.causation_id, Some(reserved.id));
    let asked = charge.decode::<ChargePayment>().unwrap();
    assert_eq!((asked.amount_minor, asked.currency_code.as_str()), (50, "USD"));
    assert_eq!(asked.customer_id, world.customer.to_string());
    assert!(world.until(order, OrderState::Charging).await.etag.starts_with("\"2-"));

    world.others.publish(&[world.others.charged(order)]).await;
    world.others.wait_for(order, "CommitStock").await;
    let confirmed = world.others.wait_for(order, "OrderConfirmed").await;
    assert_eq!(confirmed.decode::<OrderConfirmed>().unwrap().total_minor, 50);
    assert_eq!((confirmed.aggregate_version, reserve.aggregate_version), (3, 1));
    let found = world.until(order, OrderState::Confirmed).await;
    assert_eq!(found.reason(), OrderReason::Unspecified);
    assert!(found.end_time.is_some());

    let rows = world
        .database
        .query("SELECT step, direction, kind FROM saga_journal WHERE order_id = $1 ORDER BY at", &[&order])
        .await;
    let timeline: Vec<String> =
        rows.iter().map(|row| [row.get::<_, &str>(0), row.get(1), row.get(2)].join(" ")).collect();
    assert_eq!(
        timeline,
        [
            "reserving out ReserveStock",
            "reserving out OrderPlaced",
            "charging in StockReserved",
            "charging out ChargePayment",
            "confirmed in PaymentCharged",
            "confirmed out CommitStock",
            "confirmed out OrderConfirmed",
        ]
    );
    world.stop().await;
}

#[tokio::test]
async fn a_refused_reservation_rejects_the_order_with_its_reason() {
    let world = World::start().await;
    for (rejection, reason) in [
        (StockRejection::OutOfStock, OrderReason::OutOfStock),
        (StockRejection::UnknownProduct, OrderReason::UnknownProduct),
    ] {
        let order = world.order().await;
        world.others.publish(&[world.others.rejected(order, rejection)]).await;
        assert_eq!(world.until(order, OrderState::Rejected).await.reason(), reason);
        let rejected = world.others.wait_for(order, "OrderRejected").await.decode::<OrderRejected>().unwrap();
        assert_eq!(rejected.reason, reason.as_str_name());
        assert!(world.others.received(order, "ReleaseStock").is_empty());
    }
    world.stop().await;
}

#[tokio::test]
async fn a_declined_payment_releases_the_stock_and_rejects_the_order() {
    let world = World::start().await;
    let order = world.charging().await;
    world.others.publish(&[world.others.declined(order)]).await;
    world.others.wait_for(order, "ReleaseStock").await;
    let undoing = world.until(order, OrderState::Compensating).await;
    assert_eq!(undoing.reason(), OrderReason::Unspecified, "the reason is set at the end");
    world.others.publish(&[world.others.released(order)]).await;
    assert_eq!(world.until(order, OrderState::Rejected).await.reason(), OrderReason::InsufficientFunds);
    assert!(world.others.received(order, "RefundPayment").is_empty());
    world.stop().await;
}

#[tokio::test]
async fn an_expired_reservation_is_released_or_committed() {
    let world = World::start().await;
    let order = world.charging().await;
    world.others.publish(&[world.others.expired(order)]).await;
    let release = world.others.wait_for(order, "ReleaseStock").await;
    world.others.wait_for(order, "RefundPayment").await;
    // Asked again, the answer is the same command.
    world.others.publish(&[world.others.expired(order)]).await;
    assert_eq!(world.others.wait_for_times(order, "ReleaseStock", 2).await[1].id, release.id);
    world.others.publish(&[world.others.released(order)]).await;
    world.others.publish(&[world.others.refunded(order)]).await;
    assert_eq!(world.until(order, OrderState::Rejected).await.reason(), OrderReason::ReservationExpired);

    let order = world.confirmed().await;
    let commit = world.others.wait_for(order, "CommitStock").await;
    world.others.publish(&[world.others.expired(order)]).await;
    assert_eq!(world.others.wait_for_times(order, "CommitStock", 2).await[1].id, commit.id);
    world.stop().await;
}

#[tokio::test]
async fn a_reply_that_comes_twice_is_applied_once() {
    let world = World::start().await;
    let order = world.order().await;
    let reserved = world.others.reserved(order);
    world.others.publish(std::slice::from_ref(&reserved)).await;
    world.others.publish(&[reserved.clone(), reserved.clone()]).await;
    // The same reply under another id.
    world.others.publish(&[world.others.reserved(order)]).await;
    world.others.wait_for(order, "ChargePayment").await;
    eventually("the reply of each frame is journalled", TIMEOUT, || async {
        let sql = "SELECT count(*) FROM saga_journal WHERE kind = 'StockReserved'";
        world.database.value::<i64>(sql, &[]).await == 3
    })
    .await;
    world.others.publish(&[world.others.charged(order)]).await;
    world.others.wait_for(order, "OrderConfirmed").await;
    assert_eq!(world.others.received(order, "ChargePayment").len(), 1);
    assert!(world.get(order).await.etag.starts_with("\"3-"));
    world.stop().await;
}

#[tokio::test]
async fn many_replies_in_a_message_move_many_orders_in_few_transactions() {
    let world = World::start().await;
    let mut orders = vec![];
    for _ in 0..40 {
        orders.push(world.order().await);
    }
    let replies: Vec<_> = orders.iter().map(|order| world.others.reserved(*order)).collect();
    world.others.publish(&replies).await;
    for order in &orders {
        world.others.wait_for(*order, "ChargePayment").await;
    }
    let transactions: i64 = world.database.value("SELECT count(DISTINCT sent_xid::text) FROM sagas", &[]).await;
    assert!(transactions <= 3, "{transactions} transactions for 40 replies in a few frames");
    let charges: Vec<_> = orders.iter().map(|order| world.others.charged(*order)).collect();
    world.others.publish(&charges).await;
    for order in &orders {
        world.until(*order, OrderState::Confirmed).await;
    }
    assert!(world.service.metrics().contains("flotilla_orders_ended_total{state=\"confirmed\"} 40"));
    world.stop().await;
}

#[tokio::test]
async fn a_late_reservation_of_an_ended_order_is_released_and_a_late_charge_refunded() {
    let world = World::start().await;
    let order = world.order().await;
    world.others.publish(&[world.others.rejected(order, StockRejection::OutOfStock)]).await;
    world.until(order, OrderState::Rejected).await;
    world.others.publish(&[world.others.reserved(order)]).await;
    world.others.wait_for(order, "ReleaseStock").await;
    world.others.publish(&[world.others.charged(order)]).await;
    world.others.wait_for(order, "RefundPayment").await;
    assert!(world.get(order).await.etag.starts_with("\"2-"));
    world.stop().await;
}

#[tokio::test]
async fn a_poison_message_is_parked_and_affects_no_other() {
    let world = World::start().await;
    let order = world.order().await;
    let mut garbled = world.others.reserved(order);
    garbled.data = vec![0xff, 0xff].into();
    let stranger = world.others.reserved(world.ids.next());
    world.others.publish(&[garbled.clone(), world.others.reserved(order), stranger.clone()]).await;
    world.others.wait_for(order, "ChargePayment").await;
    let rows = world.database.query("SELECT message_id FROM parked WHERE state = 'dead' ORDER BY 1", &[]).await;
    let parked: Vec<uuid::Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let mut planted = vec![garbled.id, stranger.id];
    planted.sort();
    assert_eq!(parked, planted);
    world.service.stop().await;
}
