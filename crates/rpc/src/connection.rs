//! Accepted connections, over TCP and over pipes from services of this process: capped in number, without Nagle delay,
//! with TLS if configured, and closable when the drain takes too long. When all slots are taken, the connection that has
//! been idle longest is evicted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use flotilla_telemetry::in_current_service;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::connection_use::{OpenConnections, Registered};
use crate::local::{LocalListener, Pipe};
use crate::tls::{PeerIdentity, PeerInfo, ServerTls};

/// How long a client may take for its first bytes: after them HTTP/2 pings watch over the connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The length of the client's preface and the frame header of its settings.
const HANDSHAKE_BYTES: usize = 24 + 9;
/// How long a new connection waits for the slot of one that is being closed.
const PLACE_WAIT: Duration = Duration::from_secs(1);
/// How long a connection that the server has shut down keeps reading, until the client has closed it too.
const LINGER: Duration = Duration::from_secs(1);
/// Pause after a failed accept (no more file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A client's connection. Holds one of the server's slots, unless it is a pipe.
pub(crate) struct Connection {
    wire: Wire,
    peer: Option<PeerIdentity>,
    kill: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The deadline for the client's first bytes, and how many are missing; `None` once they have arrived.
    handshake: Option<(Pin<Box<Sleep>>, usize)>,
    /// The deadline for the client's close; set once the server's side is shut down.
    linger: Option<Pin<Box<Sleep>>>,
    registered: Registered,
    /// None on a pipe: clients outside can't take the slots of the process's own services.
    _place: Option<OwnedSemaphorePermit>,
}

/// The byte stream of a connection.
enum Wire {
    Plain(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
    Local(DuplexStream),
}

impl Wire {
    /// The addresses of both ends; a pipe has none.
    fn addresses(&self) -> TcpConnectInfo {
        match self {
            Self::Plain(tcp) => tcp.connect_info(),
            Self::Secured(tls) => tls.get_ref().0.connect_info(),
            Self::Local(_) => TcpConnectInfo { local_addr: None, remote_addr: None },
        }
    }

    /// The wire as a plain byte stream.
    fn io(&mut self) -> Pin<&mut dyn Io> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp),
            Self::Secured(tls) => Pin::new(tls.as_mut()),
            Self::Local(pipe) => Pin::new(pipe),
        }
    }
}

/// A stream in both directions.
trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// Accepts connections on `listener` while one of `places` is free; `kill` aborts the connections. With `tls`, a
/// connection is returned after its handshake; handshakes run concurrently. Pipes of `local` are accepted as well.
pub(crate) fn incoming(
    listener: TcpListener,
    local: Option<LocalListener>,
    places: usize,
    kill: CancellationToken,
    tls: Option<Arc<ServerTls>>,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
    let (open, pipes) = (Arc::default(), Arc::default());
    let handshakes = JoinSet::new();
    let acceptor = Acceptor { listener, local, places, open, pipes, kill, tls, waiting: None, handshakes };
    futures::stream::unfold(acceptor, async |mut acceptor| {
        let connection = acceptor.next().await?;
        Some((Ok(connection), acceptor))
    })
}

/// Accepts connections and does their TLS handshakes.
struct Acceptor {
    listener: TcpListener,
    local: Option<LocalListener>,
    places: Arc<Semaphore>,
    open: Arc<OpenConnections>,
    /// Apart from the others: a pipe is never evicted.
    pipes: Arc<OpenConnections>,
    kill: CancellationToken,
    tls: Option<Arc<ServerTls>>,
    /// Accepted, but without a slot so far.
    waiting: Option<TcpStream>,
    /// Each has a deadline and holds a place; they end with the acceptor.
    handshakes: JoinSet<Option<Connection>>,
}

impl Acceptor {
    async fn next(&mut self) -> Option<Connection> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next(), if !self.handshakes.is_empty() => {
                    if let Ok(Some(connection)) = done {
                        return Some(connection);
                    }
                }
                Some(Pipe { stream, peer }) = next_pipe(&mut self.local) => {
                    let kill = self.kill.child_token();
                    let registered = self.pipes.add(kill.clone());
                    return Some(Connection::new(Wire::Local(stream), Some(peer), kill, (registered, None)));
                }
                (tcp, place) = accept(&self.listener, &self.places, &self.open, &mut self.waiting) => {
                    let kill = self.kill.child_token();
                    let place = (self.open.add(kill.clone()), Some(place));
                    let Some(tls) = self.tls.clone() else {
                        return Some(Connection::new(Wire::Plain(tcp), None, kill, place));
                    };
                    self.handshakes.spawn(in_current_service(async move {
                        let done = tokio::select! {
                            done = tls.accept(tcp) => done,
                            () = kill.cancelled() => return None,
                        };
                        match done {
                            Ok(done) => {
                                Some(Connection::new(Wire::Secured(Box::new(done.stream)), done.peer, kill, place))
                            }
                            Err(error) => {
                                tracing::debug!(%error, "handshake failed");
                                None
                            }
                        }
                    }));
                }
            }
        }
    }
}

/// Accepts the next pipe; pending forever without a network. Cancel-safe.
async fn next_pipe(local: &mut Option<LocalListener>) -> Option<Pipe> {
    match local {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Accepts the next connection and gives it a slot. Cancel-safe: a connection that waits for a slot is kept in
/// `waiting`.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    open: &OpenConnections,
    waiting: &mut Option<TcpStream>,
) -> (TcpStream, OwnedSemaphorePermit) {
    // Loops until a connection gets a slot.
    loop {
        if waiting.is_none() {
            match listener.accept().await {
                Ok((stream, _)) => *waiting = Some(stream),
                Err(error) => {
                    tracing::debug!(%error, "connection can't be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            }
        }
        if places.available_permits() == 0 {
            open.close_idle();
        }
        // The semaphore is never closed.
        let place = timeout(PLACE_WAIT, Arc::clone(places).acquire_owned()).await.ok().and_then(Result::ok);
        let Some(stream) = waiting.take() else { continue };
        match (place, stream.set_nodelay(true)) {
            (Some(place), Ok(())) => return (stream, place),
            (None, _) => tracing::debug!("connection refused: the maximum number is open"),
            (_, Err(error)) => tracing::debug!(%error, "connection closed before it was served"),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        let used = Arc::clone(&self.registered.used);
        PeerInfo { tcp: self.wire.addresses(), peer: self.peer.clone(), used }
    }
}

impl Connection {
    fn new(
        wire: Wire,
        peer: Option<PeerIdentity>,
        kill: CancellationToken,
        (registered, place): (Registered, Option<OwnedSemaphorePermit>),
    ) -> Self {
        Self {
            wire,
            peer,
            kill: Box::pin(kill.cancelled_owned()),
            handshake: Some((Box::pin(sleep(HANDSHAKE)), HANDSHAKE_BYTES)),
            linger: None,
            registered,
            _place: place,
        }
    }

    fn count(&mut self, bytes: usize) {
        if let Some((_, owed)) = &mut self.handshake {
            *owed = owed.saturating_sub(bytes);
        }
        self.handshake.take_if(|(_, owed)| *owed == 0);
    }

    /// Reads until the client closes, within a bound. Closing a socket with unread bytes resets it, and the client
    /// would lose what it hasn't read yet: the status of its last call.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timer = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if timer.as_mut().poll(cx).is_ready() || self.kill.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut unread = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut unread);
            match ready!(self.wire.io().poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let ready @ Poll::Ready(_) = self.wire.io().poll_read(cx, buf) {
            self.count(buf.filled().len() - before);
            return ready;
        }
        if let Some((timer, _)) = &mut self.handshake
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.kill.as_mut().poll(cx).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.io().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.io().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(tcp) => tcp.is_write_vectored(),
            Wire::Secured(tls) => tls.is_write_vectored(),
            Wire::Local(pipe) => pipe.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(self.wire.io().poll_shutdown(cx))?;
        }
        self.poll_linger(cx)
    }
}
