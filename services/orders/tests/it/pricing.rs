//! Pricing: prices are the catalogue's, never the client's.

use std::sync::atomic::{AtomicUsize, Ordering};

use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::ProductChanged;
use flotilla_proto::orders::v1::PlaceOrderRequest;
use flotilla_rpc::Details;
use flotilla_testkit::{Stack, eventually};
use tonic::Code;

use crate::world::{TIMEOUT, World, id_of, request};

fn usd(cents: i64) -> Money {
    let nanos = i32::try_from(cents % 100).unwrap() * 10_000_000;
    Money { currency_code: "USD".into(), units: cents / 100, nanos }
}

fn changed(id: &str, price_minor: i64, version: i64) -> ProductChanged {
    ProductChanged {
        product_id: id.into(),
        display_name: id.into(),
        price_minor,
        currency_code: "USD".into(),
        version,
        deleted: false,
    }
}

async fn wait_for_all_of(world: &World, product: ProductChanged) {
    let (id, version) = (product.product_id.clone(), product.version);
    world.others.publish(&[world.others.product(&product)]).await;
    eventually("product stored", TIMEOUT, || async {
        let rows = world.database.query("SELECT version FROM catalogue WHERE product_id = $1", &[&id]).await;
        rows.first().is_some_and(|row| row.get::<_, i64>(0) == version)
    })
    .await;
}

#[tokio::test]
async fn an_order_is_priced_from_the_copy_that_events_keep() {
    let world = World::start().await;
    wait_for_all_of(&world, changed("kiwi", 70, 3)).await;
    let order = world.place("one", &[("kiwi", 2)]).await.unwrap();
    assert_eq!(order.total, Some(usd(140)));
    // Lower versions, and the message again, change nothing.
    world.others.publish(&[world.others.product(&changed("kiwi", 10, 2))]).await;
    wait_for_all_of(&world, changed("fig", 1, 1)).await;
    wait_for_all_of(&world, changed("kiwi", 80, 4)).await;
    assert_eq!(world.place("two", &[("kiwi", 1)]).await.unwrap().total, Some(usd(80)));
    assert_eq!(world.get(id_of(&order)).await.total, Some(usd(140)), "prices are frozen in the order");
    assert_eq!(world.catalogue.asked(), 0);
    world.stop().await;
}

#[tokio::test]
async fn an_older_version_changes_neither_the_table_nor_the_prices_in_memory() {
    let world = World::start_with(|settings| {
        // The prices in memory come only from events.
        settings.catalogue.poll = flotilla_config::HumanDuration::from_secs(3_600).into();
    })
    .await;
    wait_for_all_of(&world, changed("kiwi", 70, 3)).await;
    // In sequence, each read before the product that follows. The same version with another price is ignored too.
    for (older, next) in [(changed("kiwi", 10, 2), "fig"), (changed("kiwi", 20, 3), "plum")] {
        world.others.publish(&[world.others.product(&older)]).await;
        wait_for_all_of(&world, changed(next, 1, 1)).await;
    }
    let kept = "SELECT version, price_minor FROM catalogue WHERE product_id = 'kiwi'";
    let row = world.database.query(kept, &[]).await.remove(0);
    assert_eq!((row.get(0), row.get(1)), (3_i64, 70_i64), "in the table");
    assert_eq!(world.place("one", &[("kiwi", 1)]).await.unwrap().total, Some(usd(70)), "in memory");

    // Of several versions in one frame the newest wins, whatever its position.
    let mixed = [changed("kiwi", 50, 5), changed("kiwi", 60, 6), changed("kiwi", 40, 4), changed("lime", 1, 1)];
    world.others.publish(&mixed.each_ref().map(|product| world.others.product(product))).await;
    wait_for_all_of(&world, changed("date", 1, 1)).await;
    let row = world.database.query(kept, &[]).await.remove(0);
    assert_eq!((row.get(0), row.get(1)), (6_i64, 60_i64), "in the table");
    assert_eq!(world.place("two", &[("kiwi", 1)]).await.unwrap().total, Some(usd(60)), "in memory");
    assert_eq!(world.catalogue.asked(), 0);
    world.stop().await;
}

#[tokio::test]
async fn an_unknown_product_is_looked_up_in_inventory_once() {
    let world = World::start().await;
    world.place("one", &[("apple", 1), ("pear", 1)]).await.unwrap();
    world.place("two", &[("apple", 1)]).await.unwrap();
    assert_eq!(world.catalogue.asked(), 1);
    assert_eq!(world.count("catalogue").await, 2);
    world.stop().await;
}

#[tokio::test]
async fn an_unknown_product_is_refused_by_line() {
    let world = World::start().await;
    let status = world.place("one", &[("apple", 1), ("ghost", 1), ("wraith", 2)]).await.unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::InvalidArgument, Some("UNKNOWN_PRODUCT")));
    let fields: Vec<_> = details.violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["lines[1].product", "lines[2].product"]);
    world.assert_nothing_written().await;
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_product_cannot_be_ordered_and_is_not_looked_up() {
    let world = World::start().await;
    wait_for_all_of(&world, ProductChanged { deleted: true, ..changed("apple", 25, 9) }).await;
    let status = world.place("one", &[("apple", 1)]).await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("UNKNOWN_PRODUCT"));
    assert_eq!(world.catalogue.asked(), 0);
    world.stop().await;
}

#[tokio::test]
async fn while_inventory_is_down_known_products_can_be_ordered_and_unknown_ones_are_unavailable() {
    let world = World::start_with(|settings| settings.catalogue.inventory_url = "http://127.0.0.1:9".into()).await;
    wait_for_all_of(&world, changed("kiwi", 70, 1)).await;
    world.place("one", &[("kiwi", 1)]).await.unwrap();
    let status = world.place("two", &[("apple", 1)]).await.unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::Unavailable, Some("CATALOGUE_UNAVAILABLE")));
    assert!(details.retry_after.is_some());
    world.stop().await;
}

#[tokio::test]
async fn an_expected_total_that_differs_is_refused_with_the_new_one() {
    let world = World::start().await;
    let shown = |total| PlaceOrderRequest { expected_total: Some(total), ..request("key", &[("apple", 2)]) };
    let status = world.client().place_order(shown(usd(49))).await.unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::Aborted, Some("TOTAL_CHANGED")));
    assert_eq!(details.metadata.get("total_minor").map(String::as_str), Some("50"));
    assert_eq!(details.metadata.get("currency_code").map(String::as_str), Some("USD"));
    world.assert_nothing_written().await;
    let order = world.client().place_order(shown(usd(50))).await.unwrap().into_inner();
    // A repeat gets its order, though the price has changed since.
    wait_for_all_of(&world, changed("apple", 30, 2)).await;
    let again = world.client().place_order(shown(usd(50))).await.unwrap().into_inner();
    assert_eq!(order, again);
    let other = world.client().place_order(shown(usd(60))).await.unwrap_err();
    assert_eq!(Details::of(&other).reason.as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
    world.stop().await;
}

#[tokio::test]
async fn a_replica_that_missed_a_product_finds_it_in_the_table() {
    let world = World::start_with(|settings| {
        settings.catalogue.inventory_url = "http://127.0.0.1:9".into();
        settings.catalogue.poll = flotilla_config::HumanDuration::from_millis(50).into();
    })
    .await;
    world
        .database
        .query(
            "INSERT INTO catalogue (product_id, display_name, price_minor, currency, version)
             VALUES ('kiwi', 'Kiwi', 70, 'USD', 1)",
            &[],
        )
        .await;
    eventually("kiwi sold", TIMEOUT, || world.place("one", &[("kiwi", 1)])).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_to_an_earlier_point_orders_are_priced_by_the_restored_copy() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |_| {}).await;
    wait_for_all_of(&world, changed("kiwi", 70, 3)).await;
    stack.save_postgres().await.unwrap();
    wait_for_all_of(&world, changed("kiwi", 80, 4)).await;
    let placed = async |key: &str| world.place(key, &[("kiwi", 1)]).await.map(|order| order.total);
    assert_eq!(placed("of a lost time").await.unwrap(), Some(usd(80)));
    stack.restore_postgres().await.unwrap();
    let attempt = AtomicUsize::new(0);
    eventually("the price of then", TIMEOUT, || async {
        let key = attempt.fetch_add(1, Ordering::Relaxed).to_string();
        let total = placed(&key).await.map_err(|status| status.to_string())?;
        if total == Some(usd(70)) { Ok(()) } else { Err(format!("{total:?}")) }
    })
    .await;
    // The lost version now belongs to another price.
    wait_for_all_of(&world, changed("kiwi", 90, 4)).await;
    assert_eq!(placed("anew").await.unwrap(), Some(usd(90)));
    world.service.stop().await;
}
