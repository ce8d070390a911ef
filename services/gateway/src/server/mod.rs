//! The public port: accepts connections and serves HTTP/1.1 and HTTP/2 (prior knowledge or ALPN) on them.
//!
//! Own accept loop, because honest clients must not feel the others:
//! * `door`: how many connections there are, in all and from one address, and how long their beginning may take.
//! * `connection`: the limits of both versions of HTTP; a drain lets requests in flight end.
//! * `watch`: a connection that is idle, that doesn't take its answers or that breaks off call after call is closed.
//! * `replay`: the bytes by which the protocol was told are read again by the protocol.

mod connection;
mod door;
mod replay;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use flotilla_rpc::ServerSettings;
use flotilla_rpc::tls::ServerTls;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::EdgeSettings;
use crate::edge::Edge;

use door::{Door, Guest};
pub use door::{PeerAddress, network};

/// How long broken connections may take to go.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// What is served, and how.
#[derive(Debug)]
pub struct House {
    /// Answers requests.
    pub edge: Arc<Edge>,
    /// Limits of connections.
    pub settings: ServerSettings,
    /// Further ones, of a port that is open to all.
    pub limits: EdgeSettings,
    /// Where the port speaks TLS.
    pub tls: Option<Arc<ServerTls>>,
}

/// What every connection needs.
#[derive(Debug)]
struct Shared {
    house: House,
    /// No more requests.
    shutdown: CancellationToken,
    /// No more patience.
    kill: CancellationToken,
}

/// Serves until `shutdown` is cancelled; then lets requests in flight end, at most for the drain grace.
///
/// # Errors
/// None; failures of single connections are their clients' to see.
pub async fn serve(listener: TcpListener, house: House, shutdown: CancellationToken) -> anyhow::Result<()> {
    let grace = house.settings.drain_grace.0;
    let kill = CancellationToken::new();
    let refused = house.edge.metrics.refused_connections.clone();
    let (most, most_of_one) = (house.settings.max_connections, house.limits.max_connections_per_address);
    let door = Door::new(listener, most, most_of_one, refused);
    let shared = Arc::new(Shared { house, shutdown: shutdown.clone(), kill: kill.clone() });
    let connections = TaskTracker::new();
    // Ends with the token; each round waits for a place or a connection.
    loop {
        let guest = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            guest = door.next() => guest,
        };
        connections.spawn(attend(Arc::clone(&shared), guest));
    }
    drop(door);
    connections.close();
    if timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests in flight outlived the drain grace");
        kill.cancel();
        if timeout(KILL_GRACE, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections could not be closed in time");
        }
    }
    Ok(())
}

/// One connection, from its first byte to its end.
async fn attend(shared: Arc<Shared>, guest: Guest) {
    let metrics = &shared.house.edge.metrics;
    metrics.connections.inc();
    let address = guest.address.0;
    let ended = tokio::select! {
        biased;
        () = shared.kill.cancelled() => Ok(()),
        ended = connection::serve(&shared, guest) => ended,
    };
    if let Err(end) = ended {
        if let Some(reason) = end.offence() {
            metrics.refused_connections.with_label_values(&[reason]).inc();
        }
        tracing::debug!(%address, error = %end, "connection ended with an error");
    }
    metrics.connections.dec();
}
