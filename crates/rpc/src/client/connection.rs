//! One HTTP/2 connection: made, and proven by the server's first word.
//!
//! A connection that the kernel has accepted proves little: a stopped process or a silent proxy has a queue of them. It
//! counts once the server has spoken (its settings are the first that it sends).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::connector::{Connector, Io};
use super::outbound::Outbound;
use super::target::Target;
use crate::ClientSettings;

const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Sends requests over a connection. Cheap to clone.
pub(crate) type Sender = SendRequest<Outbound>;

/// Both ends of an established connection: what sends, and what has to be awaited until it ends.
pub(crate) struct Established {
    pub sender: Sender,
    pub connection: Connection<TokioIo<Heard>, Outbound, TokioExecutor>,
}

/// Connects within the connect timeout.
///
/// # Errors
/// Nobody is there, or whoever is there doesn't speak HTTP/2 in time.
pub(crate) async fn establish(
    connector: &dyn Connector,
    target: &Target,
    address: SocketAddr,
    settings: &ClientSettings,
) -> io::Result<Established> {
    let connecting = async {
        let (first_word, spoken) = oneshot::channel();
        let io = Heard { io: connector.connect(target, address).await?, first_word: Some(first_word) };
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(settings.keepalive_interval.0)
            .keep_alive_timeout(settings.keepalive_timeout.0)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(io))
            .await
            .map_err(io::Error::other)?;
        spoken.await.map_err(|_| io::Error::new(io::ErrorKind::ConnectionReset, "closed before a word was said"))?;
        Ok(Established { sender, connection })
    };
    match tokio::time::timeout(settings.connect_timeout.0, connecting).await {
        Ok(established) => established,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
    }
}

/// A stream of bytes that tells when the other side has first spoken.
pub(crate) struct Heard {
    io: Box<dyn Io>,
    first_word: Option<oneshot::Sender<()>>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before
            && let Some(first_word) = self.first_word.take()
        {
            // Nobody listens any more when the attempt was given up.
            let _ = first_word.send(());
        }
        polled
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
