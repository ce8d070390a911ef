//! What is counted of orders, on real servers: each thing once, whatever comes again.

use flotilla_proto::inventory::v1::StockRejection;
use flotilla_proto::orders::v1::OrderState;
use flotilla_testkit::eventually;

use crate::world::{TIMEOUT, World};

/// The value of a series, by its name and labels; nought where it isn't there.
fn value(world: &World, series: &str) -> f64 {
    let metrics = world.service.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// What a confirmed order of half a dollar leaves.
fn assert_one_confirmed(world: &World) {
    for (series, expected) in [
        ("flotilla_revenue_minor_units_total{currency=\"USD\"}", 50.0),
        ("flotilla_orders_ended_total{state=\"confirmed\"}", 1.0),
        ("flotilla_order_settle_seconds_count{state=\"confirmed\"}", 1.0),
        ("flotilla_saga_step_seconds_count{step=\"reserving\"}", 1.0),
        ("flotilla_saga_step_seconds_count{step=\"charging\"}", 1.0),
        ("flotilla_saga_step_seconds_count{step=\"compensating\"}", 0.0),
    ] {
        assert_eq!(value(world, series), expected, "{series}");
    }
    let [good, bad] = ["good", "bad"].map(|result| {
        value(world, &format!("flotilla_sli_events_total{{result=\"{result}\",sli=\"settle_latency\"}}"))
    });
    assert_eq!(good + bad, 1.0, "an order is settled once, soon or late");
}

/// The replies in the journal, those that came again in other frames included.
async fn until_journalled(world: &World, kind: &str, times: i64) {
    eventually(&format!("{times} {kind} journalled"), TIMEOUT, || async {
        let sql = "SELECT count(*) FROM saga_journal WHERE kind = $1";
        world.database.value::<i64>(sql, &[&kind]).await == times
    })
    .await;
}

#[tokio::test]
async fn a_redelivered_confirmation_counts_revenue_once() {
    let world = World::start().await;
    let order = world.charging().await;
    let charged = world.others.charged(order);
    world.others.publish(std::slice::from_ref(&charged)).await;
    world.until(order, OrderState::Confirmed).await;
    // The same reply in another frame, and under another id.
    world.others.publish(&[charged.clone(), charged]).await;
    world.others.publish(&[world.others.charged(order)]).await;
    until_journalled(&world, "PaymentCharged", 3).await;
    assert_one_confirmed(&world);
    world.stop().await;
}

#[tokio::test]
async fn a_batch_whose_commit_fails_is_counted_once_after_the_retry() {
    let world = World::start().await;
    let order = world.charging().await;
    // Fails one commit that confirms an order, as a conflict would; the sequence isn't rolled back.
    for sql in [
        "CREATE SEQUENCE commits",
        "CREATE FUNCTION conflict_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            IF NEW.state = 'confirmed' AND nextval('commits') = 1 THEN
                RAISE EXCEPTION 'planted' USING ERRCODE = '40001';
            END IF;
            RETURN NULL;
        END $$",
        "CREATE CONSTRAINT TRIGGER planted AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION conflict_once()",
    ] {
        world.database.query(sql, &[]).await;
    }
    world.others.publish(&[world.others.charged(order)]).await;
    world.until(order, OrderState::Confirmed).await;
    let commits: i64 = world.database.value("SELECT last_value FROM commits", &[]).await;
    assert_eq!(commits, 2, "one commit failed, one went through");
    eventually("counted", TIMEOUT, || async {
        value(&world, "flotilla_orders_ended_total{state=\"confirmed\"}") > 0.0
    })
    .await;
    assert_one_confirmed(&world);
    world.stop().await;
}

#[tokio::test]
async fn final_states_and_compensations_are_counted_separately_and_a_cancellation_is_not_a_delay() {
    let world = World::start().await;
    let rejected = world.order().await;
    world.others.publish(&[world.others.rejected(rejected, StockRejection::OutOfStock)]).await;
    world.until(rejected, OrderState::Rejected).await;
    let cancelled = world.charging().await;
    world.cancel(cancelled).await.unwrap();
    world.others.wait_for(cancelled, "RefundPayment").await;
    world.others.publish(&[world.others.released(cancelled)]).await;
    world.others.publish(&[world.others.refunded(cancelled)]).await;
    world.until(cancelled, OrderState::Cancelled).await;
    eventually("both counted", TIMEOUT, || async {
        value(&world, "flotilla_orders_ended_total{state=\"cancelled\"}") == 1.0
    })
    .await;
    assert_eq!(value(&world, "flotilla_orders_ended_total{state=\"rejected\"}"), 1.0);
    assert_eq!(value(&world, "flotilla_saga_step_seconds_count{step=\"compensating\"}"), 1.0);
    assert_eq!(value(&world, "flotilla_revenue_minor_units_total{currency=\"USD\"}"), 0.0);
    let settled = ["good", "bad"].map(|result| {
        value(&world, &format!("flotilla_sli_events_total{{result=\"{result}\",sli=\"settle_latency\"}}"))
    });
    assert_eq!(settled.iter().sum::<f64>(), 1.0, "only the rejected order was to be settled");
    world.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_counted_once_however_often_it_comes() {
    let world = World::start().await;
    let series = "flotilla_dead_letters_total{consumer=\"orders-inventory\",service=\"orders\"}";
    assert!(world.service.metrics().contains(&format!("{series} 0")), "the series is there before the first");
    let stranger = world.others.reserved(world.ids.next());
    world.others.publish(std::slice::from_ref(&stranger)).await;
    eventually("counted", TIMEOUT, || async { value(&world, series) == 1.0 }).await;
    // In another frame it reaches the handler again, and is parked already.
    world.others.publish(&[stranger.clone(), stranger]).await;
    // Bytes that are no event can't be claimed: they are known by their hash.
    let nats = flotilla_testkit::nats_client(&world.settings.common.nats.url).await;
    for _ in 0..2 {
        nats.publish("flotilla.inventory.replies", "not a frame".into()).await.unwrap();
    }
    nats.flush().await.unwrap();
    let order = world.charging().await;
    eventually("both garbled frames seen", TIMEOUT, || async {
        let dead = "flotilla_consumer_events_total{consumer=\"orders-inventory\",outcome=\"dead\",service=\"orders\"}";
        value(&world, dead) == 4.0
    })
    .await;
    assert_eq!(value(&world, series), 2.0);
    world.others.publish(&[world.others.charged(order)]).await;
    world.until(order, OrderState::Confirmed).await;
    world.service.stop().await;
}
