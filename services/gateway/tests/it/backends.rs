//! Connections between the gateway and a service are shared by all callers: one caller's streams and cancelled calls
//! must not block other callers.

use std::time::Duration;

use bytes::Bytes;
use flotilla_testkit::eventually;
use futures::future::join_all;
use http_body_util::Empty;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::fixture::Fixture;

/// Longer than any step takes; a failing test fails by this timeout.
const PATIENCE: Duration = Duration::from_secs(30);
const WATCH: &str = "/v1/products:watchPrices";
/// A test method whose prices never end.
const FLOOD: &str = "/v1/products:watchPrices?filter=flood";

async fn connect(fixture: &Fixture) -> SendRequest<Empty<Bytes>> {
    let tcp = TcpStream::connect(fixture.address()).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(fixture: &Fixture, path: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("http://{}{path}", fixture.address())).body(Empty::new()).unwrap()
}

/// Makes honest calls to the same service: a read, a change, and the start of a stream.
async fn others_are_served(fixture: &Fixture) {
    assert_eq!(fixture.call("GET /v1/products").send().await.status, 200);
    let change = fixture.as_operator("PATCH /v1/products/tea").json(&json!({"displayName": "Tea"}));
    assert_eq!(change.send().await.status, 200);
    let begun = timeout(PATIENCE, fixture.call(&format!("GET {WATCH}")).open()).await;
    assert_eq!(begun.expect("a stream begins").status(), 200);
}

#[tokio::test]
async fn unread_price_streams_do_not_block_other_calls() {
    let fixture = Fixture::start().await;
    let mut unread = Vec::new();
    for _ in 0..16 {
        unread.push(fixture.call(&format!("GET {FLOOD}")).http2().open().await);
    }
    // When no more is sent, everything that fits into the windows has been sent.
    eventually("the streams to be full", PATIENCE, || async {
        let before = fixture.test_services.seen.lock().prices;
        sleep(Duration::from_millis(300)).await;
        before > 0 && fixture.test_services.seen.lock().prices == before
    })
    .await;
    others_are_served(&fixture).await;
    drop(unread);
}

#[tokio::test]
async fn streams_beyond_the_limit_of_one_connection_do_not_block_other_calls() {
    // The edge admits more calls than one connection carries, and the backend has only one address.
    let fixture = Fixture::with(|settings| settings.edge.address_shares = false).await;
    let senders = [connect(&fixture).await, connect(&fixture).await];
    let watches = senders.iter().flat_map(|sender| std::iter::repeat_n(sender, 700)).map(|sender| {
        let mut sender = sender.clone();
        sender.send_request(get(&fixture, WATCH))
    });
    // Each starts or is refused; none waits.
    let watches = timeout(PATIENCE, join_all(watches)).await.expect("no stream waits");
    assert!(watches.iter().all(Result::is_ok));
    others_are_served(&fixture).await;
}

#[tokio::test]
async fn cancelled_calls_do_not_affect_other_calls() {
    let fixture = Fixture::start().await;
    for _ in 0..10 {
        let sender = connect(&fixture).await;
        let calls = (0..150).map(|number| {
            let mut sender = sender.clone();
            let call = sender.send_request(get(&fixture, "/v1/products?pageSize=7"));
            timeout(Duration::from_micros(number * 50), call)
        });
        let change = fixture.as_operator("PATCH /v1/products/tea").json(&json!({"displayName": "Tea"}));
        let (_cancelled, changed) = tokio::join!(join_all(calls), change.send());
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    others_are_served(&fixture).await;
}
