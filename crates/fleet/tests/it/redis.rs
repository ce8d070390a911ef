//! Redis only caches: without it the fleet is slower, not down.

use std::time::Duration;

use flotilla_fleet::{runtime, services::probe};
use flotilla_proto::google::r#type::Money;
use flotilla_proto::inventory::v1::{Product, UpdateProductRequest, catalog_service_client::CatalogServiceClient};
use flotilla_proto::orders::v1::OrderState;
use flotilla_rpc::{ClientSettings, channel};
use tokio::time::{Instant, sleep, timeout};

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

/// Less than the time to live of a cached product, so that it isn't that which shows a change.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_price_that_is_changed_past_the_gateway_shows_in_it_before_its_time_to_live() {
    let fleet = fleet().await;
    let product = fleet.product(100, 0).await;
    let gateway = fleet.state.member("gateway").unwrap();
    let admin = fleet.state.admin("gateway").unwrap();
    let path = format!("/v1/products/{product}");
    let price = async || {
        let read = http::get(&gateway.address, &path, None).await;
        assert_eq!(read.status, 200, "{read:?}");
        read.json()["price"]["units"].as_str().unwrap().to_owned()
    };
    let cached = async {
        loop {
            let before = hits(admin).await;
            assert_eq!(price().await, "1");
            if hits(admin).await > before {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BOUND, cached).await.expect("the product is cached");

    let price_of_two = Money { currency_code: "USD".to_owned(), units: 2, nanos: 0 };
    let changed = Product { name: format!("products/{product}"), price: Some(price_of_two), ..Product::default() };
    let mut request = tonic::Request::new(UpdateProductRequest { product: Some(changed), update_mask: None });
    request.metadata_mut().insert("authorization", fleet.operator.authorization());
    let inventory = channel(&fleet.state.url("inventory").unwrap(), &ClientSettings::default()).unwrap();
    CatalogServiceClient::new(inventory).update_product(request).await.unwrap();
    let began = Instant::now();
    while price().await != "2" {
        assert!(began.elapsed() < BOUND, "the gateway still shows the old price");
        sleep(Duration::from_millis(20)).await;
    }
    println!("shown after {:?}", began.elapsed());
    fleet.assert_sound().await;
}
