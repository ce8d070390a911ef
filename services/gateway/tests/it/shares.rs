//! One caller or address wants everything, and others must still be served.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use flotilla_auth::Role;
use flotilla_gateway::config::EdgeSettings;
use flotilla_testkit::eventually;
use http::Request;
use http::request::Builder;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::http::{Call, Reply};
use crate::http2_client::Http2Client;

const SOON: Duration = Duration::from_secs(10);
const ORDER: &str = "/v1/orders/00000000-0000-7000-8000-00000000beef:watch";

fn login(address: SocketAddr, number: usize) -> Builder {
    match number % 3 {
        0 => Request::post(format!("http://{address}/v1/auth:login")).header("content-type", "application/json"),
        1 => Request::post(format!("http://{address}/flotilla.identity.v1.AuthService/Login"))
            .header("content-type", "application/grpc")
            .header("te", "trailers"),
        _ => Request::post(format!("http://{address}/flotilla.identity.v1.AuthService/Login"))
            .header("content-type", "application/json"),
    }
}

fn place(fixture: &Fixture) -> Call {
    fixture
        .as_customer("POST /v1/orders")
        .key("k")
        .json(&json!({"lines": [{"product": "products/tea", "quantity": 1}]}))
}

fn reason(reply: &Reply) -> String {
    format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))
}

#[tokio::test]
async fn requests_whose_body_never_arrives_take_no_slot_from_others() {
    let fixture = Fixture::with(|settings| settings.process.grpc.max_calls = 64).await;
    let mut openers = Vec::new();
    for _ in 0..10 {
        let mut opener = Http2Client::local(fixture.address()).await;
        for number in 0..100 {
            opener.send(login(fixture.address(), number), false).await;
        }
        opener.settle().await;
        openers.push(opener);
    }
    for number in 0..20 {
        let (call, order) = (fixture.call("GET /v1/products"), place(&fixture));
        let (call, order) = if number % 2 == 0 { (call.http2(), order.http2()) } else { (call, order) };
        let (call, order) = (call.send().await, order.send().await);
        assert_eq!((call.status.as_u16(), order.status.as_u16()), (200, 200), "{} {}", reason(&call), reason(&order));
    }
}

#[tokio::test]
async fn a_request_that_arrives_too_slowly_is_evicted_with_an_error() {
    let fixture = Fixture::start().await;
    let mut opener = Http2Client::local(fixture.address()).await;
    opener.send(login(fixture.address(), 0), false).await;
    opener.settle().await;
    let mut others = Vec::new();
    let (first, _body) = opener.open.pop().unwrap();
    let told = tokio::spawn(first);
    for _ in 0..15 {
        let mut other = Http2Client::local(fixture.address()).await;
        for number in 0..100 {
            other.send(login(fixture.address(), number), false).await;
        }
        other.settle().await;
        others.push(other);
    }
    let answer = timeout(SOON / 2, told).await.expect("an answer before its deadline").unwrap().unwrap();
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    let none = "flotilla_gateway_limited_total{limit=\"arriving\"} 0\n";
    assert!(!fixture.gateway.metrics().contains(none), "counted by its cause");
}

#[tokio::test]
async fn idle_connections_are_evicted_for_new_ones_and_used_ones_stay() {
    let fixture = Fixture::with(|settings| {
        settings.process.grpc.max_connections = 8;
        settings.edge.max_connections_per_address = 8;
    })
    .await;
    let mut busy = Http2Client::connect(fixture.address(), [127, 0, 0, 2]).await;
    assert_eq!(busy.watch(ORDER, &fixture.customer_token()).await, 200);
    let mut idle = Vec::new();
    for last in [1, 1, 1, 3, 3, 4, 5] {
        idle.push(Http2Client::connect(fixture.address(), [127, 0, 0, last]).await);
    }
    for _ in 0..5 {
        let reply = fixture.call("GET /v1/products").http2().send().await;
        assert_eq!(reply.status, 200);
    }
    let ended = timeout(SOON, &mut idle[0].driver).await.expect("the oldest one's end").unwrap();
    assert!(ended.is_ok(), "a goodbye: {ended:?}");
    assert!(!busy.driver.is_finished());
    busy.settle().await;
}

#[tokio::test]
async fn one_address_leaves_streams_for_others() {
    let fixture = Fixture::with(|settings| settings.process.grpc.max_streams = 16).await;
    let mut greedy = Http2Client::local(fixture.address()).await;
    let mut opened = 0;
    for user in 0..20 {
        let token = fixture.identity.token(Uuid::from_u128(100 + user), Role::Customer);
        opened += usize::from(greedy.watch(ORDER, &token).await == 200);
    }
    let mut other = Http2Client::connect(fixture.address(), [127, 0, 0, 2]).await;
    assert_eq!(other.watch(ORDER, &fixture.customer_token()).await, 200, "{opened} of another address");
    assert!(opened >= 4, "{opened}");
}

#[tokio::test]
async fn one_customer_leaves_streams_for_others_at_the_same_address() {
    let fixture = Fixture::start().await;
    let mut greedy = Http2Client::local(fixture.address()).await;
    let token = fixture.identity.token(Uuid::from_u128(100), Role::Customer);
    let mut refused = 0;
    for number in 0..120 {
        let path = format!("/v1/orders/00000000-0000-7000-8000-{number:08}beef:watch");
        refused += usize::from(greedy.watch(&path, &token).await == 429);
    }
    assert_eq!(refused, 20, "a hundred are allowed");
    let mut other = Http2Client::local(fixture.address()).await;
    assert_eq!(other.watch(ORDER, &fixture.customer_token()).await, 200);
}

#[tokio::test]
async fn watches_of_one_resource_by_one_customer_are_limited() {
    let fixture = Fixture::start().await;
    let mut opener = Http2Client::local(fixture.address()).await;
    let token = fixture.customer_token();
    let mut refused = 0;
    for _ in 0..40 {
        refused += usize::from(opener.watch(ORDER, &token).await == 429);
    }
    assert_eq!(refused, 24, "sixteen are allowed");
    let other = "/v1/orders/00000000-0000-7000-8000-00000001beef:watch";
    assert_eq!(opener.watch(other, &token).await, 200, "another order");
    let reply = fixture.as_customer(&format!("GET {ORDER}")).send().await;
    assert_eq!((reply.status.as_u16(), reply.problem()["reason"].as_str()), (429, Some("CALLER_LIMIT")));
    let anothers = fixture.identity.token(Uuid::from_u128(100), Role::Customer);
    assert_eq!(opener.watch(ORDER, &anothers).await, 200, "another customer");
}

/// A customer sends more orders than a service works on of one caller; the ones with the key `slow` take for ever.
async fn assert_few_at_work(order: impl Fn(&Fixture, &str) -> Call) {
    let at_work = EdgeSettings::default().concurrency();
    let fixture = Fixture::start().await;
    let token = fixture.identity.token(Uuid::from_u128(100), Role::Customer);
    let send = || tokio::spawn(order(&fixture, "slow").token(&token).send());
    let slow: Vec<_> = (0..at_work).map(|_| send()).collect();
    eventually("calls at work", SOON, || async { fixture.test_services.calls("PlaceOrder") == at_work }).await;
    let _waiting = [send(), send()];
    eventually("calls that wait for their turn", SOON, || async {
        fixture.gateway.metrics().contains("flotilla_gateway_waiting_calls 2\n")
    })
    .await;
    assert_eq!(order(&fixture, "k").send().await.status, 200, "another customer");
    assert_eq!(fixture.call("GET /v1/products").token(&token).send().await.status, 200, "another service");
    assert_eq!(fixture.test_services.calls("PlaceOrder"), at_work + 1);
    // When their clients leave, the next ones begin.
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("the others' turn", SOON, || async { fixture.test_services.calls("PlaceOrder") == at_work + 3 }).await;
}

#[tokio::test]
async fn a_service_works_on_a_few_calls_of_one_caller_and_on_those_of_others() {
    assert_few_at_work(|fixture, key| place(fixture).key(key)).await;
}

#[tokio::test]
async fn a_service_works_on_a_few_calls_of_one_caller_over_grpc_too() {
    assert_few_at_work(|fixture, key| {
        let order = json!({"requestId": key, "lines": [{"product": "products/tea", "quantity": 1}]});
        fixture.as_customer("POST /flotilla.orders.v1.OrderService/PlaceOrder").json(&order)
    })
    .await;
}

#[tokio::test]
async fn a_response_of_which_only_a_byte_is_read_is_stalled() {
    let short = flotilla_config::HumanDuration(Duration::from_millis(200));
    let fixture = Fixture::with(|settings| settings.edge.send_timeout = short).await;
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) = builder.initial_window_size(1).handshake::<_, Bytes>(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/v1/products", fixture.address())).body(()).unwrap();
    let (_answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
    let _broken = timeout(SOON, driver).await.expect("the connection's end");
}
