//! What honest clients feel of the others: next to nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_config::HumanDuration;
use flotilla_testkit::eventually;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::attackers::{cancelled_calls, continue_on, reset_on};
use crate::fixture::Fixture;
use crate::http2_client::Http2Client;

/// A client behind a proxy.
const CLIENT: &str = "203.0.113.7";
const SOON: Duration = Duration::from_secs(10);
const SHORT: HumanDuration = HumanDuration(Duration::from_millis(200));

async fn refused(fixture: &Fixture, reason: &str) {
    let line = format!("flotilla_gateway_refused_connections_total{{reason=\"{reason}\"}} ");
    eventually(&format!("a connection refused as {reason}"), SOON, || async {
        fixture.gateway.metrics().contains(&line)
    })
    .await;
}

#[tokio::test]
async fn an_address_that_has_its_share_of_connections_in_use_gets_no_more() {
    let fixture = Fixture::with(|settings| settings.edge.max_connections_per_address = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(fixture.address()).await.unwrap();
        // A call without a response: the gateway waits for the rest of its body.
        let call =
            "POST /v1/auth:login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(call.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let calls = "flotilla_gateway_in_flight 3";
    eventually("three calls in flight", SOON, || async { fixture.gateway.metrics().contains(calls) }).await;
    let mut more = TcpStream::connect(fixture.address()).await.unwrap();
    let read = timeout(SOON, more.read(&mut [0])).await.expect("closed at once");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    refused(&fixture, "address").await;
    held.clear();
    eventually("room again", SOON, || async {
        let mut stream = TcpStream::connect(fixture.address()).await.unwrap();
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sent.is_ok() && stream.read(&mut [0]).await.is_ok_and(|read| read == 1)
    })
    .await;
}

#[tokio::test]
async fn an_address_that_calls_too_often_gets_a_retry_delay() {
    let fixture = Fixture::with(|settings| settings.process.grpc.rate_limit.per_address = 1.into()).await;
    let rest = fixture.call("GET /v1/products");
    let grpc = fixture
        .call("POST /flotilla.inventory.v1.CatalogService/ListProducts")
        .http2()
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .bytes(vec![0; 5]);
    let (mut as_problem, mut as_status) = (false, false);
    // Two at once are allowed, and more as time passes.
    for _ in 0..50 {
        let answer = rest.clone().send().await;
        if answer.status == 429 {
            assert_eq!(answer.problem()["reason"], "RATE_LIMITED");
            as_problem = answer.headers.contains_key("retry-after");
        }
        as_status |= grpc.clone().send().await.headers.get("grpc-status").is_some_and(|status| status == "8");
        if as_problem && as_status {
            return;
        }
    }
    panic!("as a problem: {as_problem}, as a status: {as_status}");
}

#[tokio::test]
async fn a_client_that_cancels_call_after_call_is_disconnected() {
    let fixture = Fixture::with(|settings| settings.edge.max_resets = 20).await;
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let deeds = AtomicUsize::new(0);
    let ended = timeout(SOON, reset_on(stream, fixture.address(), &deeds)).await.expect("the connection's end");
    assert!(ended.is_err() && deeds.load(Ordering::Relaxed) > 20, "{ended:?}");
    assert_eq!(fixture.call("GET /v1/products").http2().send().await.status, 200);
}

#[tokio::test]
async fn calls_cancelled_while_a_service_works_count_too() {
    let fixture = Fixture::with(|settings| settings.edge.max_resets = 5).await;
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    for number in 1..=6 {
        let request = Request::post(format!("http://{}/v1/orders", fixture.address()))
            .header("authorization", format!("Bearer {}", fixture.customer_token()))
            .header("idempotency-key", "slow")
            .header("content-type", "application/json")
            .body(())
            .unwrap();
        client = client.ready().await.unwrap();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(br#"{"lines":[{"product":"products/tea","quantity":1}]}"#), true).unwrap();
        eventually("the call at its service", SOON, || async { fixture.test_services.calls("PlaceOrder") == number })
            .await;
        drop((answer, body));
    }
    let _broken = timeout(SOON, driver).await.expect("the connection's end");
    refused(&fixture, "resets").await;
}

/// Has a call that waits for its body cancelled.
async fn cancel_one(opener: &mut Http2Client, address: SocketAddr) {
    let login = Request::post(format!("http://{address}/v1/auth:login")).header("x-forwarded-for", CLIENT);
    opener.send(login.header("content-type", "application/json"), false).await;
    opener.settle().await;
    opener.open.clear();
    opener.settle().await;
}

#[tokio::test]
async fn calls_cancelled_on_many_connections_count_for_their_address() {
    const MOST: u32 = 2;
    let fixture = Fixture::with(|settings| settings.edge.max_resets = MOST).await;
    let mut cancelled = 0;
    // Each connection cancels fewer than it may.
    while let Some(mut opener) = Http2Client::try_connect(fixture.address(), [127, 0, 0, 2]).await {
        assert!(cancelled < 20 * MOST, "an address that has cancelled {cancelled} calls may still connect");
        cancel_one(&mut opener, fixture.address()).await;
        cancelled += 1;
    }
    assert!(cancelled > 9 * MOST, "{cancelled} in all");
    refused(&fixture, "resets").await;
    assert_eq!(fixture.call("GET /v1/products").send().await.status, 200, "another address");
}

#[tokio::test]
async fn calls_cancelled_through_a_proxy_count_for_their_client() {
    let fixture = Fixture::with(|settings| {
        settings.edge.max_resets = 1;
        settings.edge.trusted_proxies = vec!["127.0.0.1/32".to_owned()];
    })
    .await;
    let call = |client| fixture.call("GET /v1/products").header("x-forwarded-for", client).send();
    let mut proxy = Http2Client::local(fixture.address()).await;
    let mut tries = 0;
    while call(CLIENT).await.status != 429 {
        assert!(tries < 100, "a client that has cancelled {tries} calls is served");
        cancel_one(&mut proxy, fixture.address()).await;
        tries += 1;
    }
    assert_eq!(call("203.0.113.8").await.status, 200, "another client of this proxy");
}

#[tokio::test]
async fn calls_cancelled_before_they_are_accepted_count_for_their_address() {
    let fixture = Fixture::with(|settings| settings.edge.max_resets = 20).await;
    let address = fixture.address();
    // Each connection ends by the first twenty.
    for _ in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&cancelled_calls(address, 100)).await.unwrap();
        let _goodbye = timeout(SOON, stream.read_to_end(&mut Vec::new())).await.expect("the connection's end");
    }
    eventually("an address that may not connect", SOON, || async {
        Http2Client::try_connect(address, [127, 0, 0, 1]).await.is_none()
    })
    .await;
    refused(&fixture, "resets").await;
}

#[tokio::test]
async fn endless_headers_are_bounded() {
    let fixture = Fixture::start().await;
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let sent = timeout(SOON, continue_on(stream, 100_000)).await.expect("the connection's end");
    // The kernel's buffers hold some that the gateway never reads.
    assert!(sent < 800, "{sent} frames were taken");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_an_open_stream_is_not() {
    // Long enough for a request to follow its connection on a busy machine.
    let idle_timeout = HumanDuration(Duration::from_secs(1));
    let fixture = Fixture::with(|settings| settings.edge.idle_timeout = idle_timeout).await;
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let (_client, connection) = h2::client::handshake(stream).await.unwrap();
    timeout(SOON, connection).await.expect("a goodbye").unwrap();

    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request =
        Request::get(format!("http://{}/v1/orders/00000000-0000-7000-8000-00000000beef:watch", fixture.address()))
            .header("authorization", format!("Bearer {}", fixture.customer_token()))
            .body(())
            .unwrap();
    let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
    let mut events = answer.await.unwrap().into_body();
    let mut idle = JoinSet::new();
    // Others come and go in the time that the open one lives through.
    for _ in 0..2 {
        let stream = TcpStream::connect(fixture.address()).await.unwrap();
        let (_client, connection) = h2::client::handshake(stream).await.unwrap();
        idle.spawn(async move {
            let _client = _client;
            timeout(SOON, connection).await.expect("a goodbye").unwrap();
        });
        idle.join_next().await.unwrap().unwrap();
    }
    assert!(events.data().await.is_some_and(|data| data.is_ok()));
    assert!(!driver.is_finished());
}

#[tokio::test]
async fn a_client_that_does_not_read_its_responses_is_disconnected() {
    let fixture = Fixture::with(|settings| settings.edge.send_timeout = SHORT).await;
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    // It never gives leave to send a byte.
    let (client, connection) = builder.initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/v1/products", fixture.address())).body(()).unwrap();
    let (_answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
    let _broken = timeout(SOON, driver).await.expect("the connection's end");
    refused(&fixture, "stalled").await;
}

#[tokio::test]
async fn a_silent_stream_is_not_stalled() {
    let fixture = Fixture::with(|settings| settings.edge.send_timeout = SHORT).await;
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request =
        Request::get(format!("http://{}/v1/orders/00000000-0000-7000-8000-00000000beef:watch", fixture.address()))
            .header("authorization", format!("Bearer {}", fixture.customer_token()))
            .body(())
            .unwrap();
    let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
    let _events = answer.await.unwrap().into_body();
    // Another one stalls and goes in the meantime.
    let stream = TcpStream::connect(fixture.address()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (other, connection) = builder.initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
    let other_driver = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/v1/products", fixture.address())).body(()).unwrap();
    let (_answer, _) = other.ready().await.unwrap().send_request(request, true).unwrap();
    let _broken = timeout(SOON, other_driver).await.expect("the connection's end");
    assert!(!driver.is_finished());
}

#[tokio::test]
async fn a_slow_body_is_answered_in_time() {
    let fixture = Fixture::with(|settings| settings.process.grpc.default_deadline = SHORT).await;
    let mut stream = TcpStream::connect(fixture.address()).await.unwrap();
    let head =
        "POST /v1/auth:login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    timeout(SOON, stream.read_exact(&mut status)).await.expect("an answer in time").unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
}
