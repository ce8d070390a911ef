//! Calls between the services of one process: over pipes in memory, without a socket.
//!
//! A server that has joined the process's network is reached over a pipe by clients that have joined it too, at the same
//! address at which others reach it over TCP. Everything above the transport is the same: layers, deadlines, limits,
//! drain. Guarantees:
//! * A pipe carries the name of the service at its other end, which the process assigns when it is composed. The server
//!   sees it as [`PeerIdentity`], as if a certificate had proved it, also where the fleet doesn't use TLS.
//! * Nothing outside the process can open a pipe.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::tls::PeerIdentity;

/// Bytes that a pipe holds in each direction until they are read.
const PIPE: usize = 64 * 1024;
/// Pipes that wait for the server to accept them.
const BACKLOG: usize = 64;

/// The network of a process that runs several services. Clones are the same network.
#[derive(Clone, Default)]
pub struct LocalNetwork(Arc<Mutex<HashMap<SocketAddr, Listening>>>);

/// An address in the network.
struct Listening {
    pipes: mpsc::Sender<Pipe>,
    /// Taken by the server when it starts.
    listener: Option<LocalListener>,
}

/// The server's end of a pipe.
pub(crate) struct Pipe {
    pub stream: DuplexStream,
    /// The service at the other end.
    pub peer: PeerIdentity,
}

/// The pipes that clients open to one address.
pub(crate) struct LocalListener(mpsc::Receiver<Pipe>);

impl LocalNetwork {
    /// Adds an address: from now on clients wait for the server that will listen there, instead of connecting to it
    /// over TCP.
    pub fn expect(&self, address: SocketAddr) {
        self.0.lock().entry(address).or_insert_with(Listening::new);
    }

    /// The pipes to this address; none if they are taken already.
    fn listen(&self, address: SocketAddr) -> Option<LocalListener> {
        self.0.lock().entry(address).or_insert_with(Listening::new).listener.take()
    }

    /// Where pipes to an address go; `None` if it isn't an address of this network. A server may listen on all
    /// addresses of the machine, of which a loopback address is one.
    fn find(&self, address: SocketAddr) -> Option<mpsc::Sender<Pipe>> {
        let listening = self.0.lock();
        let all = |(listening, _): &(&SocketAddr, &Listening)| {
            listening.ip().is_unspecified() && address.ip().is_loopback() && listening.port() == address.port()
        };
        let found = listening.get(&address).or_else(|| listening.iter().find(all).map(|(_, found)| found));
        found.map(|found| found.pipes.clone())
    }
}

impl Listening {
    fn new() -> Self {
        let (pipes, opened) = mpsc::channel(BACKLOG);
        Self { pipes, listener: Some(LocalListener(opened)) }
    }
}

impl fmt::Debug for LocalNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}

impl LocalListener {
    /// The next pipe; `None` if the network is gone.
    pub async fn accept(&mut self) -> Option<Pipe> {
        self.0.recv().await
    }
}

/// Passes the network to the clients and the server of a service. Not a setting; clones share it.
#[derive(Clone, Default)]
pub struct LocalLink(Arc<OnceLock<Membership>>);

struct Membership {
    network: LocalNetwork,
    own: PeerIdentity,
}

impl LocalLink {
    /// Joins the network under the name of a service. Only the first call has an effect.
    pub fn join(&self, network: &LocalNetwork, service: &str) {
        let own = PeerIdentity { service: service.to_owned() };
        // A service has one name in a process.
        drop(self.0.set(Membership { network: network.clone(), own }));
    }

    /// The pipes to this address, if the server has joined a network.
    pub(crate) fn listen(&self, address: SocketAddr) -> Option<LocalListener> {
        self.0.get()?.network.listen(address)
    }

    /// Opens a pipe to the server at this address; `None` if it isn't in the client's network.
    ///
    /// # Errors
    /// The server has stopped.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Option<io::Result<DuplexStream>> {
        let Membership { network, own } = self.0.get()?;
        let pipes = network.find(address)?;
        let (client, server) = tokio::io::duplex(PIPE);
        let sent = pipes.send(Pipe { stream: server, peer: own.clone() }).await;
        Some(sent.map(|()| client).map_err(|_| io::ErrorKind::ConnectionRefused.into()))
    }
}

impl fmt::Debug for LocalLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalLink").field(&self.0.get().map(|joined| &joined.own.service)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn joined(network: &LocalNetwork, service: &str) -> LocalLink {
        let link = LocalLink::default();
        link.join(network, service);
        link
    }

    #[tokio::test]
    async fn a_pipe_names_the_service_that_opened_it() {
        let network = LocalNetwork::default();
        network.expect(address("127.0.0.1:1"));
        let _client = joined(&network, "orders").connect(address("127.0.0.1:1")).await.unwrap().unwrap();
        let mut listener = joined(&network, "inventory").listen(address("127.0.0.1:1")).unwrap();
        assert_eq!(listener.accept().await.unwrap().peer.service, "orders");
    }

    #[tokio::test]
    async fn a_server_on_all_addresses_is_reached_on_loopback() {
        let network = LocalNetwork::default();
        network.expect(address("0.0.0.0:1"));
        let client = joined(&network, "orders");
        assert!(client.connect(address("127.0.0.1:1")).await.is_some());
        assert!(client.connect(address("127.0.0.1:2")).await.is_none());
        assert!(client.connect(address("10.0.0.1:1")).await.is_none());
    }

    #[tokio::test]
    async fn a_server_that_has_stopped_refuses_and_one_outside_the_network_is_not_found() {
        let network = LocalNetwork::default();
        let (client, server) = (joined(&network, "orders"), joined(&network, "inventory"));
        drop(server.listen(address("127.0.0.1:1")).unwrap());
        let refused = client.connect(address("127.0.0.1:1")).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(LocalLink::default().connect(address("127.0.0.1:1")).await.is_none());
    }
}
