//! Uploads as JSON lines, and streams as JSON lines.

use std::time::Duration;

use flotilla_config::HumanDuration;
use serde_json::json;

use crate::fixture::Fixture;
use crate::http::{Call, events};

fn row(id: &str) -> String {
    json!({"productId": id, "displayName": "Tea", "price": {"currencyCode": "USD", "units": "4"}}).to_string()
}

fn import(fixture: &Fixture, body: impl Into<bytes::Bytes>) -> Call {
    let call = fixture.as_operator("POST /v1/products:import?importId=nightly");
    call.header("content-type", "application/x-ndjson").bytes(body)
}

#[tokio::test]
async fn each_line_becomes_a_message() {
    let fixture = Fixture::start().await;
    let body = format!("{}\n\n{}\r\n{}", row("tea"), row("cup"), row("pot"));
    for call in [import(&fixture, body.clone()), import(&fixture, body).http2()] {
        let reply = call.send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!((&reply.json()["name"], &reply.json()["received"]), (&json!("imports/nightly"), &json!("3")));
    }
    let rows = fixture.test_services.seen.lock().rows.clone();
    assert!(rows[1].contains("product_id: \"cup\"") && rows[1].contains("import_id: \"nightly\""), "{}", rows[1]);
}

#[tokio::test]
async fn an_invalid_line_is_named_and_aborts_the_stream() {
    let fixture = Fixture::start().await;
    for (line, reason, told) in [
        ("{\"productId\": 5}", "INVALID_ARGUMENT", "line 2: row.productId"),
        ("{\"product\": \"x\"}", "INVALID_ARGUMENT", "line 2: row.product: unknown field"),
        ("{", "MALFORMED_JSON", "line 2: "),
    ] {
        let problem = import(&fixture, format!("{}\n{line}\n{}\n", row("tea"), row("cup"))).send().await.problem();
        assert_eq!(problem["reason"], reason, "{problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with(told), "{problem}");
        assert_eq!(problem["metadata"]["line"], "2");
    }
    assert_eq!(import(&fixture, row("tea")).send().await.status, 200);
    assert_eq!(fixture.test_services.seen.lock().imported, 1, "the others had no end");
}

#[tokio::test]
async fn the_length_of_lines_is_limited_and_that_of_uploads_is_not() {
    let fixture = Fixture::with(|settings| settings.process.grpc.max_message_bytes = 1000).await;
    let long = format!("{}\n", row("tea")).repeat(500);
    assert!(long.len() > 40_000);
    assert_eq!(import(&fixture, long).send().await.json()["received"], "500");
    let wide = format!("{{\"description\":\"{}\"}}\n", "x".repeat(2000));
    let refused = import(&fixture, wide).send().await;
    assert_eq!((refused.status.as_u16(), &refused.problem()["reason"]), (413, &json!("BODY_TOO_LARGE")));
}

#[tokio::test]
async fn a_request_that_is_not_an_upload_is_refused_before_the_service_is_called() {
    let fixture = Fixture::start().await;
    let plain = import(&fixture, "{}").header("content-type", "application/json").send().await;
    assert_eq!((plain.status.as_u16(), &plain.problem()["reason"]), (415, &json!("UNSUPPORTED_MEDIA_TYPE")));
    let customer = fixture.as_customer("POST /v1/products:import").header("content-type", "application/x-ndjson");
    assert_eq!(customer.bytes(row("tea")).send().await.status, 403);
    assert!(fixture.test_services.seen.lock().rows.is_empty());
}

#[tokio::test]
async fn a_stream_is_sent_as_lines_to_clients_that_accept_them() {
    let fixture = Fixture::with(|settings| settings.edge.heartbeat = HumanDuration(Duration::from_millis(20))).await;
    let watch = |order: &str| {
        let call = fixture.as_customer(&format!("GET /v1/orders/00000000-0000-7000-8000-00000000{order}:watch"));
        call.header("accept", "application/x-ndjson").open()
    };
    let ended = watch("dead").await;
    assert_eq!(ended.headers()["content-type"], "application/x-ndjson");
    let text = events(ended, |_| false).await;
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["resumeToken"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "2", "3"]);
    let broken = events(watch("badd").await, |_| false).await;
    let last: serde_json::Value = serde_json::from_str(broken.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["reason"], "DATABASE_UNAVAILABLE");
    let idle = events(watch("beef").await, |text| text.ends_with("\n\n\n")).await;
    assert!(idle.starts_with('{'), "{idle}");
}
