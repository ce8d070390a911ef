//! A header and the field that it stands for: they must be equal, or one rule decides; nothing is dropped silently.

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::http::{Call, Reply, events};

const WATCH: &str = "GET /v1/orders/00000000-0000-7000-8000-00000000dead:watch";

fn order(request_id: &str) -> Value {
    json!({"lines": [{"product": "products/tea", "quantity": 2}], "requestId": request_id})
}

/// The field and the text of the only violation.
fn violation(reply: &Reply) -> (String, String) {
    let problem = reply.problem();
    assert_eq!((reply.status.as_u16(), &problem["reason"]), (400, &json!("INVALID_ARGUMENT")), "{problem}");
    assert_eq!(problem["violations"].as_array().unwrap().len(), 1, "{problem}");
    let text = |name: &str| problem["violations"][0][name].as_str().unwrap().to_owned();
    (text("field"), text("description"))
}

async fn ids(call: Call) -> Vec<String> {
    let text = events(call.open().await, |_| false).await;
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_browser_that_reconnects_resumes_after_the_last_event_whatever_its_url_says() {
    let fixture = Fixture::start().await;
    let opened_with_a_token = fixture.as_customer(&format!("{WATCH}?resumeToken=1"));
    assert_eq!(ids(opened_with_a_token.clone()).await, ["2", "3"]);
    assert_eq!(ids(opened_with_a_token.header("last-event-id", "2")).await, ["3"]);
}

#[tokio::test]
async fn json_lines_are_not_an_event_stream_and_two_different_tokens_are_refused() {
    let fixture = Fixture::start().await;
    let lines = fixture.as_customer(&format!("{WATCH}?resumeToken=1")).header("accept", "application/x-ndjson");
    let reply = lines.clone().header("last-event-id", "2").send().await;
    let (field, told) = violation(&reply);
    assert_eq!(field, "resumeToken");
    assert!(told.contains("Last-Event-ID") && told.contains("\"2\""), "{told}");
    assert_eq!(lines.header("last-event-id", "1").send().await.status, 200);
}

#[tokio::test]
async fn a_key_in_the_header_and_another_in_the_body_are_refused() {
    let fixture = Fixture::start().await;
    let place = |key: &str| fixture.as_customer("POST /v1/orders").json(&order("a")).key(key);
    let (field, told) = violation(&place("b").send().await);
    assert_eq!(field, "requestId");
    assert!(told.contains("Idempotency-Key") && told.contains("\"b\""), "{told}");
    assert_eq!(fixture.test_services.calls("PlaceOrder"), 0, "nothing was placed");
    assert_eq!(place("a").send().await.status, 200);
    assert_eq!(place("\"a\"").send().await.status, 200, "quoted as the draft has it");
}

#[tokio::test]
async fn a_tag_in_the_header_and_another_in_the_body_are_refused() {
    let fixture = Fixture::start().await;
    let patch = |tag: &str| {
        let body = json!({"displayName": "Green tea", "etag": "\"7\""});
        fixture.as_operator("PATCH /v1/products/tea").json(&body).header("if-match", tag)
    };
    let (field, told) = violation(&patch("\"999\"").send().await);
    assert_eq!(field, "product.etag");
    assert!(told.contains("If-Match") && told.contains("999"), "{told}");
    assert_eq!(fixture.test_services.calls("UpdateProduct"), 0, "nothing was changed");
    for fine in ["\"7\"", "7", "*", "\"6\", \"7\""] {
        assert_eq!(patch(fine).send().await.status, 200, "{fine}");
        assert!(
            fixture.test_services.request().contains(r#"etag: "\"7\"""#),
            "{fine}: {}",
            fixture.test_services.request()
        );
    }
    let cancel = "POST /v1/orders/00000000-0000-7000-8000-000000000001:cancel";
    let reply = fixture.as_customer(cancel).json(&json!({"etag": "\"1\""})).header("if-match", "\"9\"").send().await;
    assert_eq!(violation(&reply).0, "etag");
    let delete = fixture.as_operator("DELETE /v1/products/tea?etag=%221%22").header("if-match", "\"9\"").send().await;
    assert_eq!(violation(&delete).0, "etag");
}

#[tokio::test]
async fn a_condition_that_cannot_be_checked_is_refused_and_not_dropped() {
    let fixture = Fixture::start().await;
    let several = fixture.as_operator("DELETE /v1/products/tea").header("if-match", "\"1\", \"2\"").send().await;
    let (field, told) = violation(&several);
    assert_eq!(field, "etag");
    assert!(told.contains("If-Match"), "{told}");
    let body = json!({"displayName": "Tea"});
    let create = fixture.as_operator("POST /v1/products?productId=tea").json(&body);
    let (_, told) = violation(&create.clone().header("if-match", "\"1\"").send().await);
    assert!(told.contains("If-Match"), "{told}");
    assert_eq!(fixture.test_services.calls("CreateProduct"), 0);
    assert_eq!(create.header("if-match", "*").send().await.status, 200);
    let read = fixture.call("GET /v1/products/tea").header("if-match", "\"1\"").send().await;
    assert_eq!(read.status, 200, "a read changes nothing");
}

#[tokio::test]
async fn a_header_given_twice_with_different_values_is_refused() {
    let fixture = Fixture::start().await;
    let placed = |second: &str| {
        let body = json!({"lines": [{"product": "products/tea", "quantity": 2}]});
        fixture.as_customer("POST /v1/orders").json(&body).key("a").also("idempotency-key", second)
    };
    let refused = placed("b").send().await;
    assert_eq!(refused.problem()["reason"], "INVALID_HEADER");
    assert!(refused.problem()["detail"].as_str().unwrap().contains("idempotency-key"), "{refused:?}");
    assert_eq!(placed("a").send().await.status, 200, "the same twice is fine");
    let timeouts = fixture.call("GET /v1/products/tea").header("x-request-timeout", "1s");
    let refused = timeouts.also("x-request-timeout", "2s").send().await;
    assert_eq!(refused.problem()["reason"], "INVALID_HEADER");
}
