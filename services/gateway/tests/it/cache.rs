//! Product reads kept in Redis.

use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{Product, UpdateProductRequest};
use flotilla_testkit::{Stack, eventually, stack};
use serde_json::json;

use crate::fixture::Fixture;

const READ: &str = "GET /v1/products/tea";

async fn read(fixture: &Fixture) -> String {
    let reply = fixture.call(READ).send().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["etag"], "\"7\"");
    reply.json()["displayName"].as_str().unwrap().to_owned()
}

/// Reads until a read didn't reach the service.
async fn warm(fixture: &Fixture) {
    eventually("a kept product", flotilla_testkit::TIMEOUT, || async {
        let before = fixture.test_services.calls("GetProduct");
        read(fixture).await;
        fixture.test_services.calls("GetProduct") == before
    })
    .await;
}

#[tokio::test]
async fn a_cached_product_is_served_without_a_call_and_a_change_shows_at_once() {
    let fixture = Fixture::with_redis(stack().await.redis_url()).await;
    warm(&fixture).await;
    let change = |name: &str| fixture.as_operator("PATCH /v1/products/tea").json(&json!({ "displayName": name }));
    assert_eq!(change("after").send().await.status, 200);
    assert_eq!(read(&fixture).await, "after");
    warm(&fixture).await;
    assert_eq!(fixture.as_operator("DELETE /v1/products/tea").send().await.status, 200);
    let before = fixture.test_services.calls("GetProduct");
    read(&fixture).await;
    assert_eq!(fixture.test_services.calls("GetProduct"), before + 1, "the deletion was noticed");
    assert!(fixture.gateway.metrics().contains("outcome=\"hit\""));
}

#[tokio::test]
async fn a_change_over_grpc_shows_at_once() {
    let fixture = Fixture::with_redis(stack().await.redis_url()).await;
    warm(&fixture).await;
    let product = Product { name: "products/tea".into(), display_name: "by grpc".into(), ..Product::default() };
    let mut catalog = CatalogServiceClient::new(fixture.gateway.channel_as(&fixture.operator_token()));
    catalog.update_product(UpdateProductRequest { product: Some(product), update_mask: None }).await.unwrap();
    assert_eq!(read(&fixture).await, "by grpc");
}

#[tokio::test]
async fn without_redis_products_are_still_served() {
    let own = Stack::start().await.unwrap();
    let fixture = Fixture::with_redis(own.redis_url()).await;
    warm(&fixture).await;
    own.kill_redis().await;
    let before = fixture.test_services.calls("GetProduct");
    for _ in 0..5 {
        assert_eq!(read(&fixture).await, "before");
    }
    assert_eq!(fixture.test_services.calls("GetProduct"), before + 5);
    assert_eq!(fixture.as_operator("DELETE /v1/products/tea").send().await.status, 200);
}
