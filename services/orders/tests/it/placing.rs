//! Placing: one order a key, whoever asks, however often, wherever.

use std::collections::HashSet;

use flotilla_auth::Role;
use flotilla_proto::inventory::v1::ReserveStock;
use flotilla_proto::orders::v1::{OrderPlaced, OrderState};
use flotilla_rpc::Details;
use futures::future::join_all;
use tonic::Code;

use crate::world::{World, id_of, request};

#[tokio::test]
async fn an_accepted_order_is_durable_with_its_saga_and_its_first_command() {
    let world = World::start().await;
    let order = world.place("one", &[("pear", 1), ("apple", 2), ("apple", 3)]).await.unwrap();
    let id = id_of(&order);
    assert_eq!(order.state(), OrderState::Reserving);
    assert_eq!(order.customer, format!("users/{}", world.customer));
    assert_eq!(order, world.get(id).await);
    let lines: Vec<_> = order.lines.iter().map(|line| (line.product.as_str(), line.quantity)).collect();
    assert_eq!(lines, [("products/apple", 5), ("products/pear", 1)]);
    assert_eq!(order.total.as_ref().map(|total| (total.units, total.nanos)), Some((2, 250_000_000)));

    let reserve = world.others.wait_for(id, "ReserveStock").await.decode::<ReserveStock>().unwrap();
    let asked: Vec<_> = reserve.lines.iter().map(|line| (line.product_id.as_str(), line.quantity)).collect();
    assert_eq!(asked, [("apple", 5), ("pear", 1)]);
    let placed = world.others.wait_for(id, "OrderPlaced").await.decode::<OrderPlaced>().unwrap();
    assert_eq!((placed.total_minor, placed.currency_code.as_str()), (225, "USD"));
    let journal = world.database.query("SELECT kind FROM saga_journal ORDER BY message_id", &[]).await;
    let kinds: Vec<String> = journal.iter().map(|row| row.get(0)).collect();
    assert_eq!(kinds, ["ReserveStock", "OrderPlaced"]);
    world.stop().await;
}

#[tokio::test]
async fn the_same_key_with_the_same_body_returns_the_same_order_in_its_current_state() {
    let world = World::start().await;
    let first = world.place("key", &[("apple", 2), ("pear", 1)]).await.unwrap();
    let again = world.place("key", &[("pear", 1), ("apple", 1), ("apple", 1)]).await.unwrap();
    assert_eq!(first, again);
    let id = id_of(&first);
    world.others.wait_for(id, "ReserveStock").await;
    world.others.publish(&[world.others.reserved(id)]).await;
    world.until(id, OrderState::Charging).await;
    let later = world.place("key", &[("apple", 2), ("pear", 1)]).await.unwrap();
    assert_eq!((later.name, later.state), (first.name, OrderState::Charging.into()));
    assert_eq!(world.count("orders").await, 1);
    world.stop().await;
}

#[tokio::test]
async fn an_order_may_have_five_hundred_lines() {
    let world = World::start().await;
    let lines = [vec![("apple", 1); 499], vec![("pear", 2)]].concat();
    let order = world.place("large", &lines).await.unwrap();
    let placed: Vec<_> = order.lines.iter().map(|line| (line.product.as_str(), line.quantity)).collect();
    assert_eq!(placed, [("products/apple", 499), ("products/pear", 2)]);
    world.others.wait_for(id_of(&order), "ReserveStock").await;
    world.stop().await;
}

#[tokio::test]
async fn an_orders_row_is_written_at_its_ends_and_its_state_meanwhile_is_the_sagas() {
    let world = World::start().await;
    let order = world.charging().await;
    let stored = "SELECT state || ' ' || version FROM orders WHERE id = $1";
    assert_eq!(world.database.value::<String>(stored, &[&order]).await, "reserving 1");
    let charging = world.get(order).await;
    assert_eq!((charging.state(), charging.etag.starts_with("\"2-")), (OrderState::Charging, true));
    world.others.publish(&[world.others.charged(order)]).await;
    world.until(order, OrderState::Confirmed).await;
    assert_eq!(world.database.value::<String>(stored, &[&order]).await, "confirmed 3");
    world.stop().await;
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict_and_changes_nothing() {
    let world = World::start().await;
    let first = world.place("key", &[("apple", 2)]).await.unwrap();
    let status = world.place("key", &[("apple", 3)]).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(Details::of(&status).reason.as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(world.get(id_of(&first)).await, first);
    assert_eq!((world.count("orders").await, world.count("order_lines").await), (1, 1));
    world.stop().await;
}

#[tokio::test]
async fn each_customer_has_their_own_keys() {
    let world = World::start().await;
    let own = world.place("key", &[("apple", 1)]).await.unwrap();
    let mut stranger = world.client_as(world.ids.next(), Role::Customer);
    let other = stranger.place_order(request("key", &[("apple", 1)])).await.unwrap().into_inner();
    assert_ne!(own.name, other.name);
    world.stop().await;
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let world = World::start().await;
    let status = world.place("key", &[("plum", 1)]).await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("UNKNOWN_PRODUCT"));
    let status = world.place("key", &[("apple", 0)]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    world.assert_nothing_written().await;
    world.catalogue.put("plum", 10, "USD");
    world.place("key", &[("plum", 1)]).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_hundred_concurrent_repeats_create_one_order() {
    let world = World::start().await;
    let place = || async { world.place("key", &[("apple", 1)]).await.unwrap().name };
    let names: HashSet<String> = join_all((0..100).map(|_| place())).await.into_iter().collect();
    assert_eq!(names.len(), 1);
    for (table, rows) in [("orders", 1), ("order_lines", 1), ("sagas", 1), ("outbox", 2), ("saga_journal", 2)] {
        assert_eq!(world.count(table).await, rows, "{table}");
    }
    world.stop().await;
}

#[tokio::test]
async fn concurrent_repeats_with_two_bodies_create_one_order_and_conflicts() {
    let world = World::start().await;
    let place = |quantity: i64| {
        let world = &world;
        async move { (quantity, world.place("key", &[("apple", quantity)]).await) }
    };
    let outcomes = join_all((0..60).map(|number| place(1 + number % 2))).await;
    let winners: HashSet<i64> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(body, _)| *body).collect();
    assert_eq!(winners.len(), 1);
    let refused = outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().err());
    assert!(refused.clone().all(|status| status.code() == Code::AlreadyExists));
    assert_eq!(refused.count(), 30);
    assert_eq!(world.count("orders").await, 1);
    world.stop().await;
}

#[tokio::test]
async fn two_replicas_agree_on_one_order_per_key() {
    let world = World::start().await;
    let replica = world.replica().await;
    let place = |number: usize| {
        let service = if number.is_multiple_of(2) { &world.service } else { &replica };
        let mut client = world.client_of(service, world.customer, Role::Customer);
        async move {
            let order = client.place_order(request(&format!("key {}", number % 10), &[("apple", 1)])).await.unwrap();
            order.into_inner().name
        }
    };
    let names: HashSet<String> = join_all((0..100).map(place)).await.into_iter().collect();
    assert_eq!(names.len(), 10);
    assert_eq!(world.count("orders").await, 10);
    replica.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn concurrent_orders_share_transactions() {
    let world = World::start().await;
    world.order().await;
    let place = |number: usize| {
        let world = &world;
        async move { world.place(&format!("key {number}"), &[("apple", 1), ("pear", 2)]).await.unwrap().name }
    };
    let names: HashSet<String> = join_all((0..200).map(place)).await.into_iter().collect();
    assert_eq!(names.len(), 200);
    let transactions: i64 = world.database.value("SELECT count(DISTINCT sent_xid::text) FROM sagas", &[]).await;
    assert!(transactions < 150, "{transactions} transactions for 201 orders");
    assert_eq!(world.count("order_lines").await, 401);
    world.stop().await;
}
