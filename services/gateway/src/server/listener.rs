//! Accepts connections, one at a time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Pause after a failed accept (no more file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The peer's address of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The next connection. Cancel-safe.
pub async fn accept(listener: &TcpListener) -> (TcpStream, PeerAddress) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, PeerAddress(address)),
            Err(error) => {
                tracing::debug!(%error, "connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
