//! Connect on the public port.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flotilla_proto::orders::v1::{GetOrderRequest, Order, WatchOrderRequest, WatchOrderResponse};
use http_body_util::BodyExt as _;
use prost::Message as _;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::frames::{cut, framed};
use crate::http::{Call, Reply};

const GET_ORDER: &str = "/flotilla.orders.v1.OrderService/GetOrder";
const PLACE_ORDER: &str = "/flotilla.orders.v1.OrderService/PlaceOrder";
const WATCH_ORDER: &str = "/flotilla.orders.v1.OrderService/WatchOrder";
/// Flag of the frame that ends a stream.
const END: u8 = 2;

fn post(fixture: &Fixture, path: &str) -> Call {
    fixture.as_customer(&format!("POST {path}")).header("connect-protocol-version", "1")
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    GzDecoder::new(data).read_to_end(&mut read).unwrap();
    read
}

/// What a unary call's error says, after a look at what every error has.
fn error(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.headers["content-type"], "application/json", "{reply:?}");
    assert!(reply.headers.contains_key("x-request-id"));
    (reply.status.as_u16(), reply.json()["code"].as_str().unwrap().to_owned())
}

/// The messages of a stream, and its end.
fn stream(body: &[u8]) -> (Vec<Bytes>, Value) {
    let mut frames = cut(body);
    let (flags, end) = frames.pop().expect("a stream has an end");
    assert_eq!(flags, END);
    assert!(frames.iter().all(|(flags, _)| *flags == 0));
    (frames.into_iter().map(|(_, message)| message).collect(), serde_json::from_slice(&end).unwrap())
}

#[tokio::test]
async fn a_unary_call_is_answered_in_the_codec_of_its_request() {
    let fixture = Fixture::start().await;
    for http2 in [false, true] {
        let call = post(&fixture, GET_ORDER)
            .header("x-own", "kept")
            .json(&json!({"name": "orders/00000000-0000-7000-8000-000000000001"}));
        let reply = if http2 { call.http2() } else { call }.send().await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["name"].as_str()),
            (200, Some("orders/00000000-0000-7000-8000-000000000001")),
            "{reply:?}"
        );
        assert_eq!(reply.headers["content-type"], "application/json");
        assert!(!reply.headers.contains_key("grpc-status"));
    }
    assert_eq!(fixture.test_services.metadata("x-own").as_deref(), Some("kept"));
    assert_eq!(fixture.test_services.metadata("connect-protocol-version"), None);
    let request = GetOrderRequest { name: "orders/00000000-0000-7000-8000-000000000001".into() }.encode_to_vec();
    let reply = post(&fixture, GET_ORDER).header("content-type", "application/proto").bytes(request).send().await;
    assert_eq!(reply.headers["content-type"], "application/proto");
    assert_eq!(Order::decode(reply.body).unwrap().name, "orders/00000000-0000-7000-8000-000000000001");
}

#[tokio::test]
async fn methods_that_only_read_can_be_called_by_get() {
    let fixture = Fixture::start().await;
    let get = |query: &str| fixture.as_customer(&format!("GET {GET_ORDER}?connect=v1&{query}")).send();
    let json =
        get("encoding=json&message=%7B%22name%22%3A%22orders%2F00000000-0000-7000-8000-000000000001%22%7D").await;
    assert_eq!(
        (json.status.as_u16(), json.json()["name"].as_str()),
        (200, Some("orders/00000000-0000-7000-8000-000000000001")),
        "{json:?}"
    );
    assert_eq!(json.headers["cache-control"], "no-cache, private");
    let message = GetOrderRequest { name: "orders/00000000-0000-7000-8000-000000000001".into() }.encode_to_vec();
    let plain = format!("encoding=proto&base64=1&message={}", URL_SAFE_NO_PAD.encode(&message));
    assert_eq!(Order::decode(get(&plain).await.body).unwrap().name, "orders/00000000-0000-7000-8000-000000000001");
    let packed = format!("encoding=proto&base64=1&compression=gzip&message={}", URL_SAFE_NO_PAD.encode(gzip(&message)));
    assert_eq!(Order::decode(get(&packed).await.body).unwrap().name, "orders/00000000-0000-7000-8000-000000000001");
    for query in ["encoding=json", "encoding=xml&message=x", "encoding=proto&base64=1&message=***"] {
        assert_eq!(error(&get(query).await), (400, "invalid_argument".to_owned()), "{query}");
    }
    let change =
        fixture.as_customer(&format!("GET {PLACE_ORDER}?connect=v1&encoding=json&message=%7B%7D")).send().await;
    assert_eq!((change.status.as_u16(), &change.headers["allow"]), (405, &"POST".parse().unwrap()));
    assert_eq!(fixture.test_services.calls("PlaceOrder"), 0);
}

#[tokio::test]
async fn an_error_has_a_code_a_status_and_details() {
    let fixture = Fixture::start().await;
    for (key, status, code) in [("changed", 409, "aborted"), ("busy", 429, "resource_exhausted")] {
        let reply = post(&fixture, PLACE_ORDER)
            .json(&json!({"requestId": key, "lines": [{"product": "products/tea", "quantity": 1}]}))
            .send()
            .await;
        assert_eq!(error(&reply), (status, code.to_owned()));
        let told = reply.json();
        let details = told["details"].as_array().unwrap();
        let info = details.iter().find(|detail| detail["type"] == "google.rpc.ErrorInfo").expect("a reason");
        let value = STANDARD_NO_PAD.decode(info["value"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8_lossy(&value).contains("flotilla"), "{told}");
    }
    let missing =
        post(&fixture, GET_ORDER).json(&json!({"name": "orders/00000000-0000-7000-8000-000000000000"})).send().await;
    assert_eq!(error(&missing), (404, "not_found".to_owned()));
    let anonymous = fixture
        .call(&format!("POST {GET_ORDER}"))
        .json(&json!({"name": "orders/00000000-0000-7000-8000-000000000001"}))
        .send()
        .await;
    assert_eq!(error(&anonymous), (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn the_clients_timeout_is_the_deadline_of_the_call() {
    let fixture = Fixture::start().await;
    let place = |timeout: &str| {
        post(&fixture, PLACE_ORDER)
            .json(&json!({"requestId": "slow", "lines": [{"product": "products/tea", "quantity": 1}]}))
            .header("connect-timeout-ms", timeout)
            .send()
    };
    assert_eq!(error(&place("200").await), (504, "deadline_exceeded".to_owned()));
    assert!(fixture.test_services.metadata("grpc-timeout").is_some(), "the service knows of it");
    assert_eq!(error(&place("soon").await), (400, "invalid_argument".to_owned()));
    let watch = post(&fixture, WATCH_ORDER)
        .header("content-type", "application/connect+json")
        .header("connect-timeout-ms", "300")
        .bytes(framed(0, br#"{"name":"orders/00000000-0000-7000-8000-00000000beef"}"#))
        .send()
        .await;
    let (messages, end) = stream(&watch.body);
    assert_eq!((messages.len(), end["error"]["code"].as_str()), (3, Some("deadline_exceeded")));
}

#[tokio::test]
async fn messages_are_compressed_and_decompressed() {
    let fixture = Fixture::start().await;
    let lines: Vec<_> =
        (0..100).map(|number| json!({"product": format!("products/p{number}"), "quantity": 1})).collect();
    let body = json!({"requestId": "large", "lines": lines}).to_string();
    let place = |encoding: &str| {
        post(&fixture, PLACE_ORDER)
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .header("accept-encoding", "br, gzip")
            .bytes(gzip(body.as_bytes()))
            .send()
    };
    let reply = place("gzip").await;
    assert_eq!((reply.status.as_u16(), &reply.headers["content-encoding"]), (200, &"gzip".parse().unwrap()));
    let told: Value = serde_json::from_slice(&gunzip(&reply.body)).unwrap();
    assert_eq!(told["lines"].as_array().unwrap().len(), 100);
    assert_eq!(error(&place("zstd").await), (501, "unimplemented".to_owned()));
    let watch = post(&fixture, WATCH_ORDER)
        .header("content-type", "application/connect+proto")
        .header("connect-content-encoding", "gzip")
        .header("connect-accept-encoding", "gzip")
        .bytes(framed(
            1,
            &gzip(
                &WatchOrderRequest {
                    name: "orders/00000000-0000-7000-8000-00000000dead".into(),
                    ..WatchOrderRequest::default()
                }
                .encode_to_vec(),
            ),
        ))
        .send()
        .await;
    assert_eq!(watch.headers["connect-content-encoding"], "gzip");
    assert_eq!(stream(&watch.body).0.len(), 3, "small messages are sent as they are");
}

#[tokio::test]
async fn bad_input_is_an_invalid_argument() {
    let fixture = Fixture::start().await;
    let place = |body: &str| {
        post(&fixture, PLACE_ORDER).header("content-type", "application/json").bytes(body.to_owned()).send()
    };
    for (body, named) in [("{\"lines\":[{\"qty\":1}]}", "lines[0].qty"), ("{\"requestId\":", ""), ("", ""), ("[]", "")]
    {
        let reply = place(body).await;
        assert_eq!(error(&reply), (400, "invalid_argument".to_owned()), "{body}");
        assert!(reply.json()["message"].as_str().unwrap().contains(named), "{reply:?}");
    }
    assert_eq!(
        error(&place(&format!("\"{}\"", "x".repeat(1024 * 1024))).await),
        (429, "resource_exhausted".to_owned())
    );
    let version = post(&fixture, GET_ORDER)
        .header("connect-protocol-version", "2")
        .json(&json!({"name": "orders/00000000-0000-7000-8000-000000000001"}))
        .send()
        .await;
    assert_eq!(error(&version), (400, "invalid_argument".to_owned()));
    assert_eq!(fixture.test_services.calls("PlaceOrder"), 0);
    for (content_type, path) in
        [("image/jpeg", GET_ORDER), ("application/connect+json", GET_ORDER), ("application/json", WATCH_ORDER)]
    {
        let reply = post(&fixture, path).header("content-type", content_type).bytes("{}").send().await;
        assert_eq!(reply.status, 415, "{content_type}");
        assert!(reply.headers["accept-post"].to_str().unwrap().contains("application/connect+json"));
    }
    let deleted = fixture.as_customer(&format!("DELETE {GET_ORDER}")).send().await;
    assert_eq!((deleted.status.as_u16(), &deleted.headers["allow"]), (405, &"GET, POST".parse().unwrap()));
    let unknown = post(&fixture, "/flotilla.orders.v1.OrderService/Nope").json(&json!({})).send().await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_stream_ends_with_its_status() {
    let fixture = Fixture::start().await;
    let watch = |name: &str| {
        post(&fixture, WATCH_ORDER)
            .header("content-type", "application/connect+json")
            .bytes(framed(0, json!({"name": name}).to_string().as_bytes()))
    };
    let (messages, end) = stream(&watch("orders/00000000-0000-7000-8000-00000000dead").send().await.body);
    let tokens: Vec<Value> = messages
        .iter()
        .map(|message| serde_json::from_slice::<Value>(message).unwrap()["resumeToken"].clone())
        .collect();
    assert_eq!((tokens, end), (vec![json!("1"), json!("2"), json!("3")], json!({})));
    let (messages, end) = stream(&watch("orders/00000000-0000-7000-8000-00000000badd").http2().send().await.body);
    assert_eq!((messages.len(), end["error"]["code"].as_str()), (3, Some("unavailable")));
    let missing = watch("orders/00000000-0000-7000-8000-000000000000").send().await;
    assert_eq!(
        (missing.status.as_u16(), &missing.headers["content-type"]),
        (200, &"application/connect+json".parse().unwrap())
    );
    assert_eq!(stream(&missing.body).1["error"]["code"], "not_found");

    let request =
        WatchOrderRequest { name: "orders/00000000-0000-7000-8000-00000000dead".into(), resume_token: "2".into() }
            .encode_to_vec();
    let proto =
        post(&fixture, WATCH_ORDER).header("content-type", "application/connect+proto").bytes(framed(0, &request));
    let (messages, _) = stream(&proto.send().await.body);
    assert_eq!(WatchOrderResponse::decode(messages[0].clone()).unwrap().resume_token, "3");
    let metrics = fixture.gateway.metrics();
    let series = r#"flotilla_gateway_requests_total{method="POST",protocol="connect",route="flotilla.orders.v1.OrderService/WatchOrder",status="OK"} 2"#;
    assert!(metrics.contains(series), "{metrics}");
    assert!(metrics.contains("flotilla_gateway_in_flight 0"));
}

#[tokio::test]
async fn a_stream_that_cannot_start_returns_the_reason() {
    let fixture = Fixture::start().await;
    let whole = framed(0, br#"{"name":"orders/00000000-0000-7000-8000-000000000001"}"#);
    for (body, code) in [
        (Vec::new(), "unimplemented"),
        (whole.repeat(2), "unimplemented"),
        (whole[..9].to_vec(), "invalid_argument"),
        (framed(0, b"{\"nam\":1}"), "invalid_argument"),
        (framed(1, b"{}"), "internal"),
        (framed(END, b"{}"), "invalid_argument"),
    ] {
        let call = post(&fixture, WATCH_ORDER).header("content-type", "application/connect+json").bytes(body.clone());
        let (messages, end) = stream(&call.send().await.body);
        assert_eq!((messages.len(), end["error"]["code"].as_str()), (0, Some(code)), "{body:?}");
    }
    assert_eq!(fixture.test_services.calls("WatchOrder"), 0);
}

#[tokio::test]
async fn an_abandoned_stream_is_cancelled() {
    let fixture = Fixture::start().await;
    let watch = post(&fixture, WATCH_ORDER)
        .header("content-type", "application/connect+json")
        .bytes(framed(0, br#"{"name":"orders/00000000-0000-7000-8000-00000000beef"}"#));
    let mut response = watch.open().await;
    response.body_mut().frame().await.unwrap().unwrap();
    assert!(fixture.gateway.metrics().contains("flotilla_gateway_in_flight 1"));
    drop(response);
    flotilla_testkit::eventually("the place given back", flotilla_testkit::TIMEOUT, || async {
        fixture.gateway.metrics().contains("flotilla_gateway_in_flight 0")
    })
    .await;
}
