//! gRPC-Web on the public port, and gRPC's JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flotilla_proto::orders::v1::{GetOrderRequest, Order, WatchOrderRequest, WatchOrderResponse};
use prost::Message as _;
use serde_json::Value;

use crate::fixture::Fixture;
use crate::frames::{cut, framed};
use crate::http::{Call, Reply};

const GET_ORDER: &str = "/flotilla.orders.v1.OrderService/GetOrder";
const WATCH_ORDER: &str = "/flotilla.orders.v1.OrderService/WatchOrder";
/// Flag of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

fn call(fixture: &Fixture, path: &str, content_type: &str, body: &[u8]) -> Call {
    let call = fixture.as_customer(&format!("POST {path}")).header("content-type", content_type);
    call.header("x-grpc-web", "1").bytes(Bytes::copy_from_slice(body))
}

fn order(name: &str) -> Vec<u8> {
    framed(0, &GetOrderRequest { name: name.into() }.encode_to_vec())
}

/// The messages of an answer and its status, wherever that is.
fn read(reply: &Reply, body: &[u8]) -> (Vec<Bytes>, String) {
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut frames = cut(body);
    if let Some(status) = reply.headers.get("grpc-status") {
        assert!(frames.is_empty());
        return (Vec::new(), status.to_str().unwrap().to_owned());
    }
    let (flags, trailers) = frames.pop().expect("trailers");
    assert_eq!(flags, TRAILERS);
    let trailers = String::from_utf8(trailers.to_vec()).unwrap();
    let status = trailers.lines().find_map(|line| line.strip_prefix("grpc-status: ")).expect("a status").to_owned();
    (frames.into_iter().map(|(_, message)| message).collect(), status)
}

#[tokio::test]
async fn a_unary_call_is_answered_over_both_versions_of_http() {
    let fixture = Fixture::start().await;
    for http2 in [false, true] {
        let call = call(
            &fixture,
            GET_ORDER,
            "application/grpc-web+proto",
            &order("orders/00000000-0000-7000-8000-000000000001"),
        )
        .header("x-own", "kept");
        let reply = if http2 { call.http2() } else { call }.send().await;
        let (messages, status) = read(&reply, &reply.body);
        assert_eq!(reply.headers["content-type"], "application/grpc-web+proto");
        assert_eq!(
            (Order::decode(messages[0].clone()).unwrap().name.as_str(), status.as_str()),
            ("orders/00000000-0000-7000-8000-000000000001", "0")
        );
    }
    assert_eq!(fixture.test_services.metadata("x-own").as_deref(), Some("kept"));
    assert_eq!(fixture.test_services.metadata("x-grpc-web"), None);
    let metrics = fixture.gateway.metrics();
    let series = r#"flotilla_gateway_requests_total{method="POST",protocol="grpc-web",route="flotilla.orders.v1.OrderService/GetOrder",status="OK"} 2"#;
    assert!(metrics.contains(series), "{metrics}");
    let series = r#"flotilla_rpc_client_requests_total{code="OK",method="GetOrder",service="flotilla.orders.v1.OrderService"} 2"#;
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn a_stream_has_its_trailers_in_its_body() {
    let fixture = Fixture::start().await;
    let watch = |name: &str| {
        framed(0, &WatchOrderRequest { name: name.into(), ..WatchOrderRequest::default() }.encode_to_vec())
    };
    for (name, expected, code) in [
        ("orders/00000000-0000-7000-8000-00000000dead", 3, "0"),
        ("orders/00000000-0000-7000-8000-00000000badd", 3, "14"),
        ("orders/00000000-0000-7000-8000-000000000000", 0, "5"),
    ] {
        let reply = call(&fixture, WATCH_ORDER, "application/grpc-web", &watch(name)).send().await;
        let (messages, status) = read(&reply, &reply.body);
        assert_eq!((messages.len(), status.as_str()), (expected, code), "{name}");
        for (number, message) in messages.into_iter().enumerate() {
            assert_eq!(WatchOrderResponse::decode(message).unwrap().resume_token, (number + 1).to_string());
        }
    }
}

#[tokio::test]
async fn text_is_base64_both_ways() {
    let fixture = Fixture::start().await;
    let sent = order("orders/00000000-0000-7000-8000-000000000001");
    // In two pieces, each padded by itself.
    let body = [STANDARD.encode(&sent[..7]), STANDARD.encode(&sent[7..])].concat();
    let reply = call(&fixture, GET_ORDER, "application/grpc-web-text", body.as_bytes()).send().await;
    assert_eq!(reply.headers["content-type"], "application/grpc-web-text+proto");
    let decoded: Vec<u8> = String::from_utf8(reply.body.to_vec())
        .unwrap()
        .split_inclusive('=')
        .collect::<String>()
        .as_bytes()
        .chunks(4)
        .flat_map(|quantum| STANDARD.decode(quantum).unwrap())
        .collect();
    let (messages, status) = read(&reply, &decoded);
    assert_eq!(
        (Order::decode(messages[0].clone()).unwrap().name.as_str(), status.as_str()),
        ("orders/00000000-0000-7000-8000-000000000001", "0")
    );
    let broken = call(&fixture, GET_ORDER, "application/grpc-web-text", b"***").send().await;
    assert_eq!(read(&broken, b"").1, "3");
}

#[tokio::test]
async fn messages_may_be_json() {
    let fixture = Fixture::start().await;
    let json = framed(0, br#"{"name":"orders/00000000-0000-7000-8000-000000000001"}"#);
    let web = call(&fixture, GET_ORDER, "application/grpc-web+json", &json).send().await;
    let (messages, status) = read(&web, &web.body);
    assert_eq!(web.headers["content-type"], "application/grpc-web+json");
    let told: Value = serde_json::from_slice(&messages[0]).unwrap();
    assert_eq!((told["name"].as_str(), status.as_str()), (Some("orders/00000000-0000-7000-8000-000000000001"), "0"));
    let grpc = call(&fixture, GET_ORDER, "application/grpc+json", &json).header("te", "trailers").http2().send().await;
    assert_eq!(grpc.headers["content-type"], "application/grpc+json");
    let told: Value = serde_json::from_slice(&cut(&grpc.body)[0].1).unwrap();
    assert_eq!(told["name"], "orders/00000000-0000-7000-8000-000000000001");
    let unknown = call(&fixture, GET_ORDER, "application/grpc-web+json", &framed(0, br#"{"nam":1}"#)).send().await;
    assert_eq!(read(&unknown, &unknown.body).1, "3");
}

#[tokio::test]
async fn what_cannot_be_answered_ends_with_a_status() {
    let fixture = Fixture::start().await;
    let refused = |body: Vec<u8>| call(&fixture, GET_ORDER, "application/grpc-web", &body).send();
    for (body, code) in [
        (order("orders/00000000-0000-7000-8000-000000000000"), "5"),
        (Vec::new(), "12"),
        (order("orders/00000000-0000-7000-8000-000000000001").repeat(2), "12"),
        (order("orders/00000000-0000-7000-8000-000000000001")[..6].to_vec(), "3"),
        (framed(0, &[0xff]), "3"),
        (framed(0, &vec![0; 2 * 1024 * 1024]), "8"),
    ] {
        let reply = refused(body).await;
        assert_eq!(read(&reply, &reply.body).1, code);
        assert!(reply.headers["content-type"].to_str().unwrap().starts_with("application/grpc-web"));
    }
    let anonymous = fixture.call(&format!("POST {GET_ORDER}")).header("content-type", "application/grpc-web");
    let anonymous = anonymous.bytes(order("orders/00000000-0000-7000-8000-000000000001")).send().await;
    assert_eq!(read(&anonymous, &anonymous.body).1, "16");
    let unknown = call(
        &fixture,
        "/flotilla.orders.v1.OrderService/Nope",
        "application/grpc-web",
        &order("orders/00000000-0000-7000-8000-000000000001"),
    )
    .send()
    .await;
    assert_eq!(read(&unknown, &unknown.body).1, "12");
    let codec =
        call(&fixture, GET_ORDER, "application/grpc-web+thrift", &order("orders/00000000-0000-7000-8000-000000000001"))
            .send()
            .await;
    assert_eq!(codec.status, 415);
    let health = call(&fixture, "/grpc.health.v1.Health/Check", "application/grpc-web", &framed(0, b"")).send().await;
    assert_eq!(read(&health, &health.body).1, "0");
}
