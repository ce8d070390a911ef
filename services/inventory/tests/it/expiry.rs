//! Holds that last too long.

use std::collections::HashSet;

use flotilla_config::HumanDuration;
use flotilla_proto::inventory::v1::{ReservationExpired, StockReleased, StockReserved};
use flotilla_testkit::eventually;

use crate::world::{TIMEOUT, World};

async fn impatient() -> World {
    World::start_with(|settings| {
        settings.hold.time = HumanDuration::from_millis(30);
        settings.hold.poll = HumanDuration::from_millis(20);
        settings.hold.notice_backoff = HumanDuration::from_millis(40);
        settings.hold.notice_backoff_max = HumanDuration::from_millis(80);
    })
    .await
}

#[tokio::test]
async fn an_expired_reservation_is_reported_until_answered_and_frees_nothing() {
    let world = impatient().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let _: StockReserved = world.ask(&world.reserve(order, &[("tea", 2)])).await;
    let questions = eventually("the question is repeated", TIMEOUT, || async {
        let questions = world.published::<ReservationExpired>().await;
        if questions.len() >= 3 { Ok(questions) } else { Err(format!("asked {} times", questions.len())) }
    })
    .await;
    let ids: HashSet<_> = questions.iter().map(|question| question.id).collect();
    assert_eq!(ids.len(), questions.len(), "each question is a message of its own, so that it is answered anew");
    for question in &questions {
        let question: ReservationExpired = question.decode().unwrap();
        assert_eq!(question.order_id, order.to_string());
    }
    assert_eq!(world.level("tea").await, (5, 2), "an expiry frees nothing by itself");

    world.send(&[world.commit(order)]).await;
    world.wait_for_state(order, "committed").await;
    assert_eq!(world.level("tea").await, (3, 0), "a commit after the expiry ships");
    let overdue = "SELECT count(*) FROM overdue";
    eventually("nothing is left to ask about", TIMEOUT, || async {
        world.database.value::<i64>(overdue, &[]).await == 0
    })
    .await;
    world.finish().await;
}

#[tokio::test]
async fn a_reservation_made_under_an_earlier_setting_expires_at_its_own_time() {
    let world = impatient().await;
    world.product("tea", 5).await;
    let (longer, other) = (world.ids.next(), world.ids.next());
    // As if made when holds lasted an hour.
    let sql = "
        WITH held AS (
            INSERT INTO reservations (order_id, state, product_ids, quantities, expires_at)
            VALUES ($1, 'held', '{tea}', '{2}', now() + interval '1 hour')
        )
        UPDATE stock SET reserved = reserved + 2";
    world.database.query(sql, &[&longer]).await;
    let _: StockReserved = world.ask(&world.reserve(other, &[("tea", 1)])).await;
    let waits = "SELECT count(*) FROM overdue WHERE order_id = $1 AND notices = 0 AND notice_at > now()";
    eventually("the longer hold waits", TIMEOUT, || async {
        world.database.value::<i64>(waits, &[&longer]).await == 1
    })
    .await;
    eventually("the other is asked about", TIMEOUT, || async {
        let asked = world.published::<ReservationExpired>().await;
        asked.iter().any(|question| question.aggregate == format!("orders/{other}"))
    })
    .await;
    assert_eq!(world.database.value::<i64>(waits, &[&longer]).await, 1, "the longer hold still waits");
    world.send(&[world.release(longer), world.release(other)]).await;
    world.wait_for_state(longer, "released").await;
    world.finish().await;
}

#[tokio::test]
async fn a_release_after_the_expiry_gives_everything_back() {
    let world = impatient().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let _: StockReserved = world.ask(&world.reserve(order, &[("tea", 2)])).await;
    eventually("the question is asked", TIMEOUT, || async {
        !world.published::<ReservationExpired>().await.is_empty()
    })
    .await;
    let released: StockReleased = world.ask(&world.release(order)).await;
    assert!(released.held);
    assert_eq!(world.level("tea").await, (5, 0));
    world.finish().await;
}
