//! One HTTP/2 connection: established, and proven by the server's first SETTINGS frame.
//!
//! A connection that the kernel has accepted proves little: a stopped process or a silent proxy has a queue of them. It
//! counts once the server has sent a frame (its settings are the first that it sends).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::bounds::Bounds;
use super::connector::{Connector, Io};
use super::outbound::Outbound;
use super::target::Target;
use crate::{ClientSettings, ServiceExecutor};

/// Streams that were cancelled locally and are still remembered, so that late frames for them are ignored.
const CANCELLED_STREAMS: usize = 1024;
/// How many messages the server may send on forgotten streams over the life of a connection. The server isn't at fault
/// when callers cancel, and other callers must not lose their connection for it.
const FORGOTTEN_STREAMS: usize = 1 << 20;
/// The length of an HTTP/2 frame header.
const FRAME_HEAD: usize = 9;
/// The length of one entry in a SETTINGS frame.
const SETTING: usize = 6;
/// The frame type SETTINGS, and its entry MAX_CONCURRENT_STREAMS (RFC 9113, 6.5).
const SETTINGS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;
/// The longest first frame that is parsed.
const LONGEST_SETTINGS: usize = 64 * SETTING;

/// Sends requests over a connection. Cheap to clone.
pub(crate) type Sender = SendRequest<Outbound>;

/// Both ends of an established connection: what sends, and what has to be awaited until it ends.
pub(crate) struct Established {
    pub sender: Sender,
    /// How many concurrent streams the server accepts; `None`: unlimited.
    pub most_streams: Option<u32>,
    pub connection: Connection<TokioIo<SettingsReader>, Outbound, ServiceExecutor>,
}

/// Connects within the connect timeout.
///
/// # Errors
/// Nothing accepts connections there, or the peer doesn't complete the HTTP/2 handshake in time.
pub(crate) async fn establish(
    connector: &dyn Connector,
    target: &Target,
    address: SocketAddr,
    settings: &ClientSettings,
    bounds: Bounds,
) -> io::Result<Established> {
    let connecting = async {
        let (settings_frame, received) = oneshot::channel();
        let io = connector.connect(target, address).await?;
        let io = SettingsReader { io, settings_frame: Some(SettingsFrame { read: Vec::new(), found: settings_frame }) };
        let (sender, connection) = Builder::new(ServiceExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(bounds.stream_window)
            .initial_connection_window_size(bounds.connection_window())
            .max_concurrent_reset_streams(CANCELLED_STREAMS)
            .max_local_error_reset_streams(FORGOTTEN_STREAMS)
            .keep_alive_interval(settings.keepalive_interval.0)
            .keep_alive_timeout(settings.keepalive_timeout.0)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(io))
            .await
            .map_err(io::Error::other)?;
        let closed = |_| io::Error::new(io::ErrorKind::ConnectionReset, "closed before the first SETTINGS frame");
        let most_streams = received.await.map_err(closed)?;
        Ok(Established { sender, most_streams, connection })
    };
    match tokio::time::timeout(settings.connect_timeout.0, connecting).await {
        Ok(established) => established,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the connection attempt timed out")),
    }
}

/// A byte stream that also extracts the peer's first SETTINGS frame.
pub(crate) struct SettingsReader {
    io: Box<dyn Io>,
    settings_frame: Option<SettingsFrame>,
}

/// Collects the server's SETTINGS frame until it is complete.
struct SettingsFrame {
    read: Vec<u8>,
    found: oneshot::Sender<Option<u32>>,
}

impl SettingsReader {
    fn note(&mut self, bytes: &[u8]) {
        let Some(frame) = &mut self.settings_frame else { return };
        let room = (FRAME_HEAD + LONGEST_SETTINGS).saturating_sub(frame.read.len());
        frame.read.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if let Some(most_streams) = most_streams(&frame.read)
            && let Some(frame) = self.settings_frame.take()
        {
            // There is no receiver if the attempt was cancelled.
            let _ = frame.found.send(most_streams);
        }
    }
}

/// The number of streams that the server's initial SETTINGS allow; `None` while the frame is incomplete. Anything else
/// than SETTINGS counts as unlimited: HTTP/2 reports that error itself.
fn most_streams(read: &[u8]) -> Option<Option<u32>> {
    let &[high, middle, low, kind, ..] = read.get(..FRAME_HEAD)? else { return None };
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    if kind != SETTINGS {
        return Some(None);
    }
    let settings = read.get(FRAME_HEAD..FRAME_HEAD + length.min(LONGEST_SETTINGS))?;
    let mut most = settings.chunks_exact(SETTING).filter_map(|setting| {
        let &[high, low, a, b, c, d] = setting else { return None };
        (u16::from_be_bytes([high, low]) == MAX_CONCURRENT_STREAMS).then(|| u32::from_be_bytes([a, b, c, d]))
    });
    Some(most.next_back())
}

impl AsyncRead for SettingsReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if self.settings_frame.is_some() {
            self.note(&buf.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for SettingsReader {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A SETTINGS frame as a server sends it.
    fn settings(list: &[(u16, u32)]) -> Vec<u8> {
        let length = u8::try_from(list.len() * SETTING).unwrap();
        let body = list.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
        [0, 0, length, SETTINGS, 0, 0, 0, 0, 0].into_iter().chain(body).collect()
    }

    #[test]
    fn the_servers_bound_is_read_from_its_first_frame_however_it_is_cut() {
        let bytes = settings(&[(4, 65_535), (MAX_CONCURRENT_STREAMS, 1000), (6, 16_384)]);
        for cut in 0..bytes.len() {
            assert_eq!(most_streams(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(most_streams(&bytes), Some(Some(1000)));
        assert_eq!(most_streams(&[&bytes[..], b"more"].concat()), Some(Some(1000)));
    }

    #[test]
    fn a_server_that_says_nothing_of_it_or_speaks_otherwise_sets_no_bound() {
        assert_eq!(most_streams(&settings(&[])), Some(None));
        assert_eq!(most_streams(b"HTTP/1.1 400 Bad Request"), Some(None));
    }
}
