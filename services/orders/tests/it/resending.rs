//! Silent participants: steps are sent again under their ids, and given up; compensations never are.

use flotilla_config::HumanDuration;
use flotilla_orders::Settings;
use flotilla_proto::inventory::v1::ReserveStock;
use flotilla_proto::orders::v1::{OrderReason, OrderState};

use crate::world::World;

/// A saga in a hurry.
fn hurried(settings: &mut Settings) {
    settings.saga.tick = HumanDuration::from_millis(20).into();
    settings.saga.backoff = HumanDuration::from_millis(20).into();
    settings.saga.backoff_max = HumanDuration::from_millis(40).into();
}

#[tokio::test]
async fn a_step_without_a_reply_is_resent_with_the_same_id_and_content() {
    let world = World::start_with(hurried).await;
    let order = world.order().await;
    let sent = world.others.wait_for_times(order, "ReserveStock", 3).await;
    assert!(sent.iter().all(|event| event.id == sent[0].id));
    let first = sent[0].decode::<ReserveStock>().unwrap();
    assert!(sent.iter().all(|event| event.decode::<ReserveStock>().unwrap() == first));
    world.others.publish(&[world.others.reserved(order)]).await;
    let charges = world.others.wait_for_times(order, "ChargePayment", 2).await;
    assert_eq!(charges[0].id, charges[1].id);
    assert_ne!(charges[0].id, sent[0].id);
    world.others.publish(&[world.others.charged(order)]).await;
    world.until(order, OrderState::Confirmed).await;
    let attempts: i32 = world
        .database
        .value("SELECT max(attempt) FROM saga_journal WHERE kind = 'ReserveStock' AND direction = 'out'", &[])
        .await;
    assert!(attempts >= 3);
    world.stop().await;
}

#[tokio::test]
async fn after_twenty_resends_a_step_is_compensated_until_it_replies() {
    let world = World::start_with(hurried).await;
    let order = world.order().await;
    world.others.wait_for(order, "ReleaseStock").await;
    world.others.wait_for(order, "RefundPayment").await;
    let sql = "SELECT count(*), min(attempt), max(attempt), count(DISTINCT message_id) FROM saga_journal
               WHERE order_id = $1 AND kind = 'ReserveStock'";
    let row = world.database.query(sql, &[&order]).await.remove(0);
    assert_eq!((row.get(0), row.get(1), row.get(2), row.get(3)), (21_i64, 1_i32, 21_i32, 1_i64));

    let bytes: i32 =
        world.database.value("SELECT octet_length(journal) FROM sagas WHERE order_id = $1", &[&order]).await;
    assert!(bytes < 1_700, "{bytes} bytes: a long journal is moved to rows");

    // More often than a step forward would be, and a gauge counts it.
    let releases = world.others.wait_for_times(order, "ReleaseStock", 23).await;
    assert!(releases.iter().all(|event| event.id == releases[0].id));
    flotilla_testkit::eventually("stuck saga counted", crate::world::TIMEOUT, || async {
        world.service.metrics().contains("flotilla_sagas_stuck 1")
    })
    .await;
    // One side that has answered isn't asked again.
    world.others.publish(&[world.others.released(order)]).await;
    let refunds = world.others.received(order, "RefundPayment").len();
    world.others.wait_for_times(order, "RefundPayment", refunds + 5).await;
    world.others.publish(&[world.others.refunded(order)]).await;
    assert_eq!(world.until(order, OrderState::Rejected).await.reason(), OrderReason::TimedOut);
    world.stop().await;
}

#[tokio::test]
async fn a_charge_without_a_reply_is_compensated_too() {
    let world = World::start_with(|settings| {
        hurried(settings);
        settings.saga.resends = 2.into();
    })
    .await;
    let order = world.order().await;
    world.others.wait_for(order, "ReserveStock").await;
    world.others.publish(&[world.others.reserved(order)]).await;
    world.others.wait_for(order, "RefundPayment").await;
    assert_eq!(world.others.received(order, "ChargePayment").len(), 3);
    world.others.publish(&[world.others.released(order)]).await;
    world.others.publish(&[world.others.refunded(order)]).await;
    assert_eq!(world.until(order, OrderState::Rejected).await.reason(), OrderReason::TimedOut);
    world.stop().await;
}

#[tokio::test]
async fn two_replicas_resend_a_step_no_more_often_than_one() {
    let world = World::start_with(|settings| {
        hurried(settings);
        settings.saga.resends = 5.into();
    })
    .await;
    let replica = world.replica().await;
    let mut orders = vec![];
    for _ in 0..20 {
        orders.push(world.order().await);
    }
    for order in &orders {
        world.others.wait_for(*order, "ReleaseStock").await;
        assert_eq!(world.others.received(*order, "ReserveStock").len(), 6);
        world.others.publish(&[world.others.released(*order)]).await;
        world.others.publish(&[world.others.refunded(*order)]).await;
    }
    for order in orders {
        world.until(order, OrderState::Rejected).await;
    }
    replica.stop().await;
    world.stop().await;
}
