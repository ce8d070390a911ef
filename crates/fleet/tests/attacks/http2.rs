//! A bare HTTP/2 client that can use any address of the loopback network.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{net::TcpSocket, task::JoinSet, time::timeout};

/// The longest time from connecting until the gateway answers a ping.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// An open stream: its future response, and its request body.
pub type Stream = (ResponseFuture, h2::SendStream<Bytes>);

/// A connection. Dropped, it is closed.
pub struct Connection {
    requests: SendRequest<Bytes>,
    driver: JoinSet<Result<(), h2::Error>>,
}

impl Connection {
    /// Connects and waits until the gateway answers a ping, which shows that it serves the connection.
    ///
    /// # Errors
    /// The gateway refuses the connection, closes it at once, or doesn't answer in time.
    pub async fn open(from: Ipv4Addr, gateway: SocketAddr) -> io::Result<Self> {
        let opening = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((from, 0)))?;
            let tcp = socket.connect(gateway).await?;
            tcp.set_nodelay(true)?;
            let (requests, mut connection) = Builder::new().handshake(tcp).await.map_err(io::Error::other)?;
            let mut pings = connection.ping_pong().ok_or_else(|| io::Error::other("there are no pings"))?;
            let mut driver = JoinSet::new();
            driver.spawn(connection);
            pings.ping(Ping::opaque()).await.map_err(io::Error::other)?;
            Ok(Self { requests, driver })
        };
        timeout(OPEN_DEADLINE, opening).await?
    }

    /// A handle that opens streams on this connection.
    pub fn opener(&self) -> Opener {
        Opener(self.requests.clone())
    }

    /// Waits until the gateway closes it.
    pub async fn closed(mut self) {
        // h2 closes a connection when its last handle is dropped.
        let _requests = self.requests;
        self.driver.join_next().await;
    }
}

/// Opens streams on a connection.
#[derive(Clone)]
pub struct Opener(SendRequest<Bytes>);

impl Opener {
    /// Sends a request's headers as soon as the gateway allows another stream. `ends`: the request has no body.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn send(&self, request: Request<()>, ends: bool) -> Result<Stream, h2::Error> {
        self.0.clone().ready().await?.send_request(request, ends)
    }
}
