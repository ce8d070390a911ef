//! How much memory one address can make a gateway process use.

use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{Request, StatusCode};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::http::Call;
use crate::under_attack::{ATTACKS, Gateway};

const SOON: Duration = Duration::from_secs(20);
/// The gateway's budget, and by how much its memory may grow, in KiB: the first responses are larger than expected, and
/// the allocator keeps some freed memory.
const BUDGET: (&str, &str) = ("FLOTILLA__EDGE__MEMORY", "16MiB");
const GROWTH: u64 = 64 * 1024;
/// One address has half of the budget, and the least that a request takes is 20 KiB.
const SHARE: usize = 16 * 1024 / 2 / 20;
const ATTACKER: [u8; 4] = [127, 0, 0, 2];

/// A gateway with warm pools, caches and allocator, and its memory use.
async fn warm() -> (Gateway, u64) {
    let gateway = Gateway::with(&[BUDGET]).await;
    gateway.latencies().await;
    let memory = gateway.memory().unwrap_or_default();
    (gateway, memory)
}

async fn assert_served(gateway: &Gateway, before: u64) {
    for number in 0..20 {
        let call = Call::new(gateway.address, "GET /v1/products");
        let call = if number % 2 == 0 { call.http2() } else { call };
        assert_eq!(call.send().await.status, 200, "another address is served");
    }
    let grown = gateway.memory().map(|now| now.saturating_sub(before));
    println!("{before} KiB before, {grown:?} KiB more");
    assert!(grown.is_none_or(|grown| grown < GROWTH), "{grown:?} KiB more");
}

/// A connection and its streams, which stay open.
type Held = (SendRequest<Bytes>, Vec<ResponseFuture>);

/// Opens `count` streams on one connection, as far as they are admitted.
async fn open(builder: &Builder, gateway: &Gateway, path: &str, count: usize) -> Option<Held> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((ATTACKER, 0).into()).ok()?;
    let (mut client, mut connection) = builder.handshake(socket.connect(gateway.address).await.ok()?).await.ok()?;
    let mut pings = connection.ping_pong()?;
    tokio::spawn(connection);
    let mut open = Vec::new();
    for _ in 0..count {
        client = timeout(SOON, client.ready()).await.expect("a place for the next stream").ok()?;
        let request = Request::get(format!("http://{}{path}", gateway.address)).body(()).unwrap();
        open.push(client.send_request(request, true).ok()?.0);
    }
    // The pong shows that everything has been processed.
    timeout(SOON, pings.ping(h2::Ping::opaque())).await.expect("a pong in time").ok()?;
    Some((client, open))
}

/// One address opens many connections with many streams each; another address is still served.
async fn withstands(builder: Builder, path: &str, connections: usize, streams: usize) {
    let _alone = ATTACKS.lock().await;
    let (gateway, before) = warm().await;
    let mut held = Vec::new();
    for _ in 0..connections {
        held.extend(open(&builder, &gateway, path, streams).await);
    }
    let mut begun = 0;
    for answer in held.iter_mut().flat_map(|(_, streams)| streams) {
        let answer = timeout(SOON, answer).await.expect("an answer or a refusal in time");
        begun += usize::from(answer.is_ok_and(|answer| answer.status() == StatusCode::OK));
    }
    assert!((1..=SHARE).contains(&begun), "{begun} of {} are let in", connections * streams);
    assert_served(&gateway, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_streams_of_one_address_use_no_more_than_its_share() {
    withstands(Builder::new(), "/v1/products:watchPrices", 40, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_use_no_more_than_the_share_of_their_address() {
    let mut builder = Builder::new();
    builder.initial_window_size(1);
    // Each response has 100 KiB.
    withstands(builder, "/v1/products/large", 10, 80).await;
}
