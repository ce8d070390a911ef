//! REST as it should be.

use serde_json::json;

use crate::fixture::Fixture;

fn order() -> serde_json::Value {
    json!({"lines": [{"product": "products/tea", "quantity": 2}]})
}

#[tokio::test]
async fn an_order_is_placed_over_both_http_versions() {
    let fixture = Fixture::start().await;
    let call = fixture.as_customer("POST /v1/orders").json(&order()).key("k1");
    for reply in [call.clone().send().await, call.http2().send().await] {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(reply.headers["etag"], "\"1\"");
        let placed = reply.json();
        assert_eq!(placed["state"], "ORDER_STATE_RESERVING");
        assert_eq!(placed["lines"][0]["quantity"], "2", "64-bit integers are strings in proto3's JSON");
    }
    assert!(fixture.test_services.request().contains("request_id: \"k1\""));
}

#[tokio::test]
async fn the_metadata_of_a_call_reaches_the_service() {
    let fixture = Fixture::start().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let reply = fixture
        .as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001")
        .header("traceparent", trace)
        .header("x-request-id", "mine-1")
        .header("x-request-timeout", "2s")
        .header("x-secret", "not for services")
        .send()
        .await;
    assert_eq!(reply.headers["x-request-id"], "mine-1");
    let test_services = &fixture.test_services;
    assert_eq!(test_services.metadata("traceparent").as_deref(), Some(trace));
    assert_eq!(test_services.metadata("x-request-id").as_deref(), Some("mine-1"));
    assert_eq!(test_services.metadata("authorization"), Some(format!("Bearer {}", fixture.customer_token())));
    assert!(test_services.metadata("grpc-timeout").is_some());
    assert_eq!(test_services.metadata("x-secret"), None);
}

#[tokio::test]
async fn a_request_without_an_id_is_given_one() {
    let fixture = Fixture::start().await;
    let reply = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001").send().await;
    assert_eq!(
        Some(reply.headers["x-request-id"].to_str().unwrap().to_owned()),
        fixture.test_services.metadata("x-request-id")
    );
}

#[tokio::test]
async fn path_query_and_patch_reach_their_fields() {
    let fixture = Fixture::start().await;
    let listed = fixture.call("GET /v1/products?pageSize=7&page_token=a%2Bb").send().await;
    assert_eq!(listed.status, 200);
    assert!(
        fixture.test_services.request().contains("page_size: 7, page_token: \"a+b\""),
        "{}",
        fixture.test_services.request()
    );
    let created = fixture.as_operator("POST /v1/products?productId=tea").json(&json!({"displayName": "Tea"}));
    assert_eq!(created.send().await.json()["name"], "products/tea");
    let patched = fixture.as_operator("PATCH /v1/products/tea").json(&json!({"display_name": "Green tea"}));
    assert_eq!(patched.header("if-match", "\"7\"").send().await.json()["displayName"], "Green tea");
    assert!(fixture.test_services.request().contains("update_mask: Some(FieldMask { paths: [\"display_name\"] })"));
    assert!(fixture.test_services.request().contains(r#"etag: "\"7\"""#), "{}", fixture.test_services.request());
    let deleted = fixture.as_operator("DELETE /v1/products/tea").send().await;
    assert_eq!((deleted.status.as_u16(), deleted.json()), (200, json!({})));
}

#[tokio::test]
async fn a_post_without_a_body_is_an_empty_message() {
    let fixture = Fixture::start().await;
    assert_eq!(
        fixture.as_customer("POST /v1/orders/00000000-0000-7000-8000-000000000001:cancel").send().await.json()["name"],
        "orders/00000000-0000-7000-8000-000000000001"
    );
}

#[tokio::test]
async fn a_head_request_is_a_get_without_the_body() {
    let fixture = Fixture::start().await;
    let reply = fixture.as_customer("HEAD /v1/orders/00000000-0000-7000-8000-000000000001").send().await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    assert!(reply.headers["content-length"].to_str().unwrap().parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn the_index_lists_every_route() {
    let fixture = Fixture::start().await;
    let index = fixture.call("GET /").send().await.json();
    let routes = index["routes"].as_array().unwrap();
    assert!(routes.len() >= 25);
    let watch = routes.iter().find(|route| route["path"] == "/v1/{name=orders/*}:watch").unwrap();
    assert_eq!((&watch["stream"], &watch["access"]), (&json!(true), &json!("authenticated")));
}

#[tokio::test]
async fn an_error_of_the_service_arrives_with_its_details() {
    let fixture = Fixture::start().await;
    let reply = fixture.as_customer("POST /v1/orders").json(&order()).key("changed").send().await;
    let problem = reply.problem();
    assert_eq!(reply.status, 409);
    assert_eq!(problem["reason"], "TOTAL_CHANGED");
    assert_eq!(problem["violations"][0]["field"], "expected_total");
    assert_eq!(problem["metadata"]["total"], "5 USD");
    let busy = fixture.as_customer("POST /v1/orders").json(&order()).key("busy").send().await;
    assert_eq!((busy.status.as_u16(), busy.headers["retry-after"].to_str().unwrap()), (429, "3"));
    let stale = fixture
        .as_customer("POST /v1/orders/00000000-0000-7000-8000-000000000001:cancel")
        .header("if-match", "\"9\"")
        .send()
        .await;
    assert_eq!((stale.status.as_u16(), stale.problem()["reason"].as_str()), (409, Some("ETAG_MISMATCH")));
    let missing = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000000").send().await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_at_its_deadline() {
    let fixture = Fixture::start().await;
    let slow = fixture.as_customer("POST /v1/orders").json(&order()).key("slow");
    let reply = slow.header("x-request-timeout", "100ms").send().await;
    assert_eq!((reply.status.as_u16(), reply.problem()["reason"].as_str()), (504, Some("DEADLINE_EXCEEDED")));
}

#[tokio::test]
async fn an_unreachable_service_is_unavailable_and_no_secret_leaks() {
    let fixture = Fixture::start().await;
    let reply = fixture.as_customer("GET /v1/accounts/00000000-0000-7000-8000-00000000000a").send().await;
    assert_eq!((reply.status.as_u16(), reply.problem()["reason"].as_str()), (503, Some("BACKEND_UNAVAILABLE")));
    assert!(reply.headers.contains_key("retry-after"));
    assert!(!String::from_utf8_lossy(&reply.body).contains("127.0.0.1"));
}

#[tokio::test]
async fn a_panic_in_a_service_affects_only_its_call() {
    let fixture = Fixture::start().await;
    let reply = fixture.as_customer("POST /v1/orders").json(&order()).key("panic").send().await;
    assert!(reply.status.is_server_error());
    assert_eq!(fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001").send().await.status, 200);
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_with_a_retry_delay() {
    let fixture = Fixture::with(|settings| settings.process.grpc.max_calls = 1).await;
    let slow = fixture.as_customer("POST /v1/orders").json(&order()).key("slow").header("x-request-timeout", "5s");
    let first = tokio::spawn(slow.send());
    flotilla_testkit::eventually("the first call", flotilla_testkit::TIMEOUT, || async {
        fixture.test_services.calls("PlaceOrder") == 1
    })
    .await;
    let refused = fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001").send().await;
    assert_eq!((refused.status.as_u16(), refused.problem()["reason"].as_str()), (429, Some("OVERLOADED")));
    assert!(refused.headers.contains_key("retry-after"));
    first.abort();
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let fixture = Fixture::start().await;
    fixture.as_customer("GET /v1/orders/00000000-0000-7000-8000-000000000001").send().await;
    fixture.call("GET /nowhere").send().await;
    let metrics = fixture.gateway.metrics();
    for series in [
        r#"flotilla_gateway_requests_total{method="GET",protocol="rest",route="/v1/{name=orders/*}",status="200"} 1"#,
        r#"flotilla_gateway_requests_total{method="GET",protocol="rest",route="none",status="404"} 1"#,
    ] {
        assert!(metrics.contains(series), "{series} in {metrics}");
    }
}
