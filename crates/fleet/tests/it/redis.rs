//! Redis only caches: without it the fleet is slower, not down.

use flotilla_fleet::{runtime, services::probe};
use flotilla_proto::orders::v1::OrderState;

use crate::{fleet::fleet, http};

async fn hits(admin: &str) -> f64 {
    let (_, text) = probe::get(admin, "/metrics").await.unwrap();
    text.lines()
        .filter(|line| line.starts_with("flotilla_cache_requests_total") && line.contains("outcome=\"hit\""))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn orders_are_processed_without_redis() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let gateway = fleet.state.member("gateway").unwrap();
    let admin = fleet.state.admin("gateway").unwrap();
    let path = format!("/v1/products/{product}");
    let before = hits(admin).await;
    for _ in 0..3 {
        assert_eq!(http::get(&gateway.address, &path, None).await.status, 200);
    }
    assert!(hits(admin).await > before, "the second read of a product is a cache hit");

    runtime::of(&fleet.home).stop(&fleet.home, "redis").await.unwrap();
    let read = http::get(&gateway.address, &path, None).await;
    let order = customer.place_order(vec![(product, 1)], "without-redis").await;
    let confirmed = match &order {
        Ok(order) => Some(fleet.until_state(&customer, &order.name, OrderState::Confirmed).await),
        Err(_) => None,
    };
    runtime::of(&fleet.home).start(&fleet.home, "redis").await.unwrap();
    assert_eq!(read.status, 200);
    assert!(confirmed.is_some(), "{order:?}");
    fleet.assert_sound().await;
}
