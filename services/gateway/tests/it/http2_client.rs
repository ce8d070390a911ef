//! A client that opens streams on one connection and doesn't end them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, SendStream};
use http::Request;
use http::request::Builder;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// A connection with streams that stay open.
pub struct Http2Client {
    address: SocketAddr,
    requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub driver: JoinHandle<Result<(), h2::Error>>,
    pings: h2::PingPong,
    /// The open streams.
    pub open: Vec<(ResponseFuture, SendStream<Bytes>)>,
}

impl Http2Client {
    /// Connects from an address of this machine's loopback network.
    pub async fn connect(address: SocketAddr, from: [u8; 4]) -> Self {
        Self::try_connect(address, from).await.expect("a connection that is let in")
    }

    /// The same; `None` if the gateway closes the connection at once.
    pub async fn try_connect(address: SocketAddr, from: [u8; 4]) -> Option<Self> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = timeout(SOON, socket.connect(address)).await.unwrap().ok()?;
        let (requests, mut connection) = h2::client::handshake(stream).await.ok()?;
        let mut pings = connection.ping_pong().unwrap();
        let driver = tokio::spawn(connection);
        timeout(SOON, pings.ping(Ping::opaque())).await.expect("a pong in time or the end").ok()?;
        Some(Self { address, requests, driver, pings, open: Vec::new() })
    }

    /// Connects from this machine's usual address.
    pub async fn local(address: SocketAddr) -> Self {
        Self::connect(address, [127, 0, 0, 1]).await
    }

    /// Waits until the gateway has processed everything that was sent.
    pub async fn settle(&mut self) {
        timeout(SOON, self.pings.ping(Ping::opaque())).await.expect("a pong in time").unwrap();
    }

    /// Sends the headers of a request; its body never comes unless it `ends` with them.
    pub async fn send(&mut self, request: Builder, ends: bool) {
        let mut ready = self.requests.clone().ready().await.unwrap();
        let sent = ready.send_request(request.body(()).unwrap(), ends).unwrap();
        self.open.push(sent);
    }

    /// Opens a stream and reads from it continuously; returns the response status.
    pub async fn watch(&mut self, path: &str, token: &str) -> u16 {
        let request = Request::get(format!("http://{}{path}", self.address));
        self.send(request.header("authorization", format!("Bearer {token}")), true).await;
        let (answer, body) = self.open.pop().unwrap();
        let answer = timeout(SOON, answer).await.expect("an answer in time").unwrap();
        let status = answer.status().as_u16();
        tokio::spawn(async move {
            // Open as long as the connection.
            let (_body, mut answers) = (body, answer.into_body());
            while let Some(Ok(data)) = answers.data().await {
                answers.flow_control().release_capacity(data.len()).unwrap();
            }
        });
        status
    }
}
