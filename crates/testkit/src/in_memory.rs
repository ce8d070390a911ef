//! A server in memory: its whole stack behind pipes, without a port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use flotilla_rpc::{Channel, ChannelBuilder, Connector, Io, Server, Target};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client_settings;

/// Buffer size of a pipe.
const PIPE_BYTES: usize = 64 * 1024;
/// Maximum number of connections that wait to be accepted.
const WAITING: usize = 16;

/// A server in memory. It drains when it is dropped; [`stop`](Self::stop) waits for the end.
#[derive(Debug)]
pub struct InMemory {
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// Serves `server` in memory with all of its layers, and returns a channel with all of a client's layers.
///
/// # Panics
/// The server can't be built.
pub fn in_memory(server: Server) -> (Channel, InMemory) {
    in_memory_with(server, ChannelBuilder::new(&client_settings()))
}

/// Like [`in_memory`], with the given channel builder.
///
/// # Panics
/// The server can't be built.
pub fn in_memory_with(server: Server, client: ChannelBuilder) -> (Channel, InMemory) {
    let shutdown = CancellationToken::new();
    server.health().set_serving(true);
    let service = server.into_service(&shutdown).unwrap();
    let (dialler, listener) = mpsc::channel(WAITING);
    let incoming = futures::stream::unfold(listener, async |mut listener: mpsc::Receiver<DuplexStream>| {
        listener.recv().await.map(|stream| (Ok::<_, io::Error>(stream), listener))
    });
    let serving = tonic::transport::Server::builder().serve_with_incoming_shutdown(
        service,
        incoming,
        shutdown.clone().cancelled_owned(),
    );
    let channel = client.connector(Pipes(dialler)).connect(&format!("http://{}", address())).unwrap();
    (channel, InMemory { shutdown, serving: tokio::spawn(serving) })
}

/// A placeholder: a pipe has no address.
fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Makes a pipe and gives its other end to the server.
struct Pipes(mpsc::Sender<DuplexStream>);

impl Connector for Pipes {
    fn connect(&self, _: &Target, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let dialler = self.0.clone();
        async move {
            let (near, far) = duplex(PIPE_BYTES);
            dialler.send(far).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(near) as Box<dyn Io>)
        }
        .boxed()
    }
}

impl InMemory {
    /// Starts the drain: streams are asked to end, and no more connections are accepted.
    pub fn drain(&self) {
        self.shutdown.cancel();
    }

    /// Drains, and waits until the last call has ended.
    ///
    /// # Panics
    /// The transport failed.
    pub async fn stop(mut self) {
        self.drain();
        (&mut self.serving).await.unwrap().unwrap();
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
