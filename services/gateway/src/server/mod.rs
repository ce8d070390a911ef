//! The public port: accepts connections and serves HTTP/1.1 and HTTP/2 (prior knowledge or ALPN) on them.
//!
//! It has its own accept loop so that abusive clients don't affect honest ones:
//! * `listener`: accepts connections.
//! * `connections`: limits connections in total and by address, and evicts unused ones for new ones.
//! * `connection`: the limits of both versions of HTTP; a drain lets requests in flight end.
//! * `activity`: closes a connection that is idle, whose client doesn't read responses, or whose client cancels call
//!   after call.
//! * `answer`: the parts of a response that aren't written yet.
//! * `replay`: passes the bytes that identified the protocol on to the protocol.

mod activity;
mod answer;
mod connection;
mod connections;
mod listener;
mod replay;

use std::sync::Arc;
use std::time::Duration;

use flotilla_rpc::ServerSettings;
use flotilla_rpc::tls::ServerTls;
use flotilla_telemetry::in_current_service;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client_address::network;
use crate::config::EdgeSettings;
use crate::edge::Edge;

use activity::{Activity, Timeouts};
use connections::{Connections, OpenConnection};
use listener::PeerAddress;

/// While most slots are taken, the deadlines for a new connection's first bytes are divided by this.
const CROWDED_DIVISOR: u32 = 4;
/// How long broken connections may take to go.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// What is served, and how.
#[derive(Debug)]
pub struct PublicPort {
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
    port: PublicPort,
    /// Cancelled when the drain begins: no more requests are accepted.
    shutdown: CancellationToken,
    /// Cancelled when the grace is over.
    kill: CancellationToken,
}

/// An accepted and admitted connection.
struct Accepted {
    stream: TcpStream,
    address: PeerAddress,
    activity: Arc<Activity>,
    open: OpenConnection,
    /// The deadline of each part of its start.
    begin_within: Duration,
}

/// Serves until `shutdown` is cancelled; then lets requests in flight end, at most for the drain grace.
///
/// # Errors
/// None; failures of single connections are their clients' to see.
pub async fn serve(listener: TcpListener, port: PublicPort, shutdown: CancellationToken) -> anyhow::Result<()> {
    let admission = Arc::clone(&port.edge.admission);
    tokio::select! {
        () = serve_connections(listener, port, shutdown) => Ok(()),
        never = admission.give_back_turns() => match never {},
    }
}

async fn serve_connections(listener: TcpListener, port: PublicPort, shutdown: CancellationToken) {
    let grace = port.settings.drain_grace.0;
    let kill = CancellationToken::new();
    let (most, per_address) = (port.settings.max_connections, port.limits.max_connections_per_address);
    let open = Connections::new(most, per_address, Arc::clone(&port.edge.admission), port.tls.is_some());
    let shared = Arc::new(Shared { port, shutdown: shutdown.clone(), kill: kill.clone() });
    let connections = TaskTracker::new();
    // Ends with the token; each round waits for a connection.
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener::accept(&listener) => accepted,
        };
        if let Some(accepted) = admit(&shared, &open, stream, address) {
            connections.spawn(in_current_service(attend(Arc::clone(&shared), accepted)));
        }
    }
    drop(listener);
    connections.close();
    if timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests in flight outlived the drain grace");
        kill.cancel();
        if timeout(KILL_GRACE, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections could not be closed in time");
        }
    }
}

/// Admits a connection, or closes it if there is no room.
fn admit(shared: &Shared, connections: &Arc<Connections>, stream: TcpStream, address: PeerAddress) -> Option<Accepted> {
    let limits = &shared.port.limits;
    let edge = &shared.port.edge;
    let refuse = |reason| edge.metrics.refused_connections.with_label_values(&[reason]).inc();
    // A trusted proxy's connections serve many clients.
    let proxied = edge.proxies.trusts(address.0.ip());
    // A second's worth: with less, each connection would cancel a few more.
    if !proxied && edge.resets.check(&network(address.0.ip()), limits.max_resets).is_err() {
        refuse("resets");
        return None;
    }
    let broken = if proxied { u32::MAX } else { limits.max_resets };
    let (idle, untaken) = (limits.idle_timeout.0, limits.send_timeout.0);
    let activity = Activity::new(Timeouts { idle, untaken, broken }, Arc::clone(&edge.resets));
    match connections.admit((!proxied).then(|| network(address.0.ip())), &activity) {
        Ok(open) => {
            let begin_within = limits.header_timeout.0 / if connections.is_crowded() { CROWDED_DIVISOR } else { 1 };
            Some(Accepted { stream, address, activity, open, begin_within })
        }
        Err(refused) => {
            refuse(refused.reason());
            None
        }
    }
}

/// One connection, from its first byte to its end.
async fn attend(shared: Arc<Shared>, accepted: Accepted) {
    let metrics = &shared.port.edge.metrics;
    metrics.connections.inc();
    let address = accepted.address.0;
    let ended = tokio::select! {
        biased;
        () = shared.kill.cancelled() => Ok(()),
        ended = connection::serve(&shared, accepted) => ended,
    };
    if let Err(end) = ended {
        if end.is_flood() {
            // No call has counted them.
            shared.port.edge.resets.charge(network(address.ip()), connection::PENDING_RESETS as u32);
        }
        if let Some(reason) = end.reason() {
            metrics.refused_connections.with_label_values(&[reason]).inc();
        }
        tracing::debug!(%address, error = %end, "connection ended with an error");
    }
    metrics.connections.dec();
}
