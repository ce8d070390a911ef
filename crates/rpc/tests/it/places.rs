//! Others are served while clients that never send their requests take all they can.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use flotilla_rpc::ServerSettings;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::toy::{Toy, get, settings};

const SOON: Duration = Duration::from_secs(10);

/// A connection with this many requests that are opened and never sent.
async fn opened(toy: &Toy, requests: usize) -> JoinHandle<Result<(), h2::Error>> {
    let address: SocketAddr = toy.url.strip_prefix("http://").unwrap().parse().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let driver = tokio::spawn(connection);
    let mut open: Vec<(_, h2::SendStream<Bytes>)> = Vec::new();
    for _ in 0..requests {
        let request = Request::post(format!("{}/flotilla.inventory.v1.StockService/GetStock", toy.url))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        client = client.ready().await.unwrap();
        open.push(client.send_request(request, false).unwrap());
    }
    timeout(SOON, pings.ping(h2::Ping::opaque())).await.expect("a pong in time").unwrap();
    tokio::spawn(async move {
        let ended = driver.await.unwrap();
        drop((client, open));
        ended
    })
}

#[tokio::test]
async fn requests_that_never_arrive_take_no_slot() {
    let toy = Toy::start(ServerSettings { max_calls: 2, ..settings() }).await;
    let _held = opened(&toy, 50).await;
    for _ in 0..20 {
        toy.get("tea").await.unwrap();
    }
}

#[tokio::test]
async fn idle_connections_are_evicted_for_new_ones() {
    let toy = Toy::start(ServerSettings { max_connections: 3, ..settings() }).await;
    let busy = tokio::spawn(get(toy.channel.clone(), "wait"));
    toy.gate.holds(1).await;
    let mut held = vec![opened(&toy, 0).await, opened(&toy, 0).await];
    // Each evicts the oldest connection without a call.
    for _ in 0..3 {
        held.push(opened(&toy, 0).await);
        let _ended = timeout(SOON, held.remove(0)).await.expect("the oldest one's end");
    }
    toy.gate.open.add_permits(1);
    busy.await.unwrap().expect("a connection in use stays");
}
