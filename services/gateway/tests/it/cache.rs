//! Product reads kept in memory and in Redis.

use std::time::Duration;

use flotilla_config::{HumanDuration, SecretString};
use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{Product, UpdateProductRequest};
use flotilla_testkit::{Stack, eventually, stack};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::fixture::Fixture;
use crate::test_services::TestServices;

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
async fn without_redis_products_are_still_served_and_changes_show_at_once() {
    let own = Stack::start().await.unwrap();
    let fixture = Fixture::with_redis(own.redis_url()).await;
    warm(&fixture).await;
    own.kill_redis().await;
    for _ in 0..5 {
        assert_eq!(read(&fixture).await, "before");
    }
    let change = fixture.as_operator("PATCH /v1/products/tea").json(&json!({ "displayName": "after" }));
    assert_eq!(change.send().await.status, 200);
    assert_eq!(read(&fixture).await, "after");
    let before = fixture.test_services.calls("GetProduct");
    assert_eq!(fixture.as_operator("DELETE /v1/products/tea").send().await.status, 200);
    read(&fixture).await;
    assert_eq!(fixture.test_services.calls("GetProduct"), before + 1, "the deletion was noticed");
}

#[tokio::test]
async fn a_change_through_one_gateway_shows_in_another() {
    let url = stack().await.redis_url();
    let services = TestServices::start().await;
    let (one, other) = (Fixture::sharing(url.clone(), &services).await, Fixture::sharing(url, &services).await);
    let shown = async || other.call(READ).send().await.json()["displayName"].as_str().unwrap().to_owned();
    // In the other's memory.
    eventually("a kept product", flotilla_testkit::TIMEOUT, || async {
        let before = services.calls("GetProduct");
        assert_eq!(shown().await, "before");
        services.calls("GetProduct") == before
    })
    .await;
    let change = one.as_operator("PATCH /v1/products/tea").json(&json!({ "displayName": "after" }));
    assert_eq!(change.send().await.status, 200);
    // The time in memory is longer than this test may take: only the message makes it old.
    eventually("the change", flotilla_testkit::TIMEOUT, || async { shown().await == "after" }).await;
}

/// Sends a command to Redis on a connection of its own.
async fn command(url: &str, line: &str) {
    let (password, server) = url.strip_prefix("redis://:").unwrap().split_once('@').unwrap();
    let mut stream = TcpStream::connect(server.split('/').next().unwrap()).await.unwrap();
    for line in [&format!("AUTH {password}"), line] {
        stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"+OK\r\n");
    }
}

#[tokio::test]
async fn products_are_served_in_time_while_redis_is_restarted_flushed_full_or_slow() {
    let own = Stack::start().await.unwrap();
    let url = own.redis_url();
    let fixture = Fixture::with(|settings| {
        settings.cache.redis_url = Some(SecretString::from(url.clone()));
        // Every read asks Redis.
        settings.cache.memory_ttl = HumanDuration(Duration::ZERO);
    })
    .await;
    warm(&fixture).await;
    own.kill_redis().await;
    own.restart_redis().await.unwrap();
    assert_eq!(read(&fixture).await, "before");
    warm(&fixture).await;
    command(&url, "FLUSHALL").await;
    assert_eq!(read(&fixture).await, "before");
    warm(&fixture).await;

    // It refuses every command that needs memory.
    command(&url, "CONFIG SET maxmemory-policy noeviction").await;
    command(&url, "CONFIG SET maxmemory 1").await;
    let change = |name: &str| fixture.as_operator("PATCH /v1/products/tea").json(&json!({ "displayName": name }));
    assert_eq!(change("while full").send().await.status, 200);
    assert_eq!(read(&fixture).await, "while full");
    command(&url, "CONFIG SET maxmemory 0").await;
    warm(&fixture).await;

    // Every answer takes ten seconds; a read may wait for a few timeouts of 50 ms.
    let pause = Duration::from_secs(10);
    command(&url, &format!("CLIENT PAUSE {} ALL", pause.as_millis())).await;
    let began = Instant::now();
    assert_eq!(change("while slow").send().await.status, 200);
    for _ in 0..20 {
        assert_eq!(read(&fixture).await, "while slow");
    }
    assert!(began.elapsed() < pause / 2, "twenty reads took {:?}", began.elapsed());
}
