//! Accepted connections: capped in number, without delay, and closable when the drain has taken too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How long a client may take for its first bytes: after them HTTP/2 pings watch over the connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The client's preface and the head of its settings.
const HANDSHAKE_BYTES: usize = 24 + 9;
/// Pause after a failed accept (no more file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A client's connection. Holds one of the server's places.
pub(crate) struct Connection {
    stream: TcpStream,
    kill: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The end of the client's patience and what it still owes; gone once it has sent enough.
    handshake: Option<(Pin<Box<Sleep>>, usize)>,
    _place: OwnedSemaphorePermit,
}

/// Accepts on `listener` while one of `places` is free; `kill` breaks the connections.
pub(crate) fn incoming(
    listener: TcpListener,
    places: usize,
    kill: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
    futures::stream::unfold((listener, places, kill), async |(listener, places, kill)| {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "connection went away before it was served");
                        continue;
                    }
                    let connection = Connection {
                        stream,
                        kill: Box::pin(kill.clone().cancelled_owned()),
                        handshake: Some((Box::pin(sleep(HANDSHAKE)), HANDSHAKE_BYTES)),
                        _place: place,
                    };
                    return Some((Ok(connection), (listener, places, kill)));
                }
                Err(error) => {
                    tracing::debug!(%error, "connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl Connection {
    fn count(&mut self, bytes: usize) {
        if let Some((_, owed)) = &mut self.handshake {
            *owed = owed.saturating_sub(bytes);
        }
        self.handshake.take_if(|(_, owed)| *owed == 0);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.count(buf.filled().len() - before);
            return ready;
        }
        if let Some((patience, _)) = &mut self.handshake
            && patience.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.kill.as_mut().poll(cx).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
