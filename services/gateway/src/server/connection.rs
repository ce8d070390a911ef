//! One connection: which protocol it speaks, the limits of that, and its end.
//!
//! The beginning has a deadline (TLS handshake, first bytes, each HTTP/1.1 request's headers; HTTP/2's are watched by
//! pings and by idleness). Header lists are small, which also bounds CONTINUATION frames; resets that cost us
//! work are bounded thrice: those not yet accepted and those provoked by broken frames by h2, the rest by the watch.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use flotilla_rpc::ServerSettings;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Shared;
use super::door::{Guest, PeerAddress};
use super::replay::Replay;
use super::watch::{Answer, Fault, Patience, Watch};
use crate::config::EdgeSettings;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest header list that a client may send.
const MAX_HEADERS: usize = 16 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What one stream may have waiting to be sent.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams that the client reset before they were looked at.
const PENDING_RESETS: usize = 20;
/// Streams that we reset because of what the client sent.
const ERROR_RESETS: usize = 64;
/// From the polite end of an idle connection to the impolite one.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Why a connection was ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    #[error("nothing was sent in time")]
    Silent,
    #[error("too many calls were broken off")]
    Abused,
    #[error("an answer was not taken in time")]
    Stalled,
    #[error("idle, and did not close when told to")]
    Idle,
    #[error("no TLS handshake: {0}")]
    Tls(#[source] io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl End {
    /// The client's fault, as the metrics call it.
    pub fn offence(&self) -> Option<&'static str> {
        match self {
            Self::Silent => Some("silent"),
            Self::Abused => Some("resets"),
            Self::Stalled => Some("stalled"),
            Self::Idle => Some("idle"),
            Self::Tls(_) => Some("tls"),
            Self::Io(_) | Self::Http(_) => None,
        }
    }
}

/// Serves a connection to its end.
///
/// # Errors
/// Why it ended, unless both sides agreed.
pub async fn serve(shared: &Shared, guest: Guest) -> Result<(), End> {
    let patience = guest.patience(shared.house.limits.header_timeout.0);
    let Guest { stream, address, ticket: _ticket, .. } = guest;
    stream.set_nodelay(true)?;
    let Some(tls) = &shared.house.tls else { return speak(shared, stream, address, patience).await };
    let accepted = tokio::select! {
        () = shared.shutdown.cancelled() => return Ok(()),
        accepted = timeout(patience, tls.accept(stream)) => accepted.map_err(|_| End::Silent)?.map_err(End::Tls)?,
    };
    speak(shared, accepted.stream, address, patience).await
}

/// HTTP of either version over a stream of any kind.
async fn speak<S>(shared: &Shared, mut stream: S, address: PeerAddress, patience: Duration) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let begun = tokio::select! {
        () = shared.shutdown.cancelled() => return Ok(()),
        begun = timeout(patience, beginning(&mut stream)) => begun.map_err(|_| End::Silent)??,
    };
    if begun.is_empty() {
        return Ok(());
    }
    let is_http2 = begun == PREFACE;
    let io = TokioIo::new(Replay::new(begun.into(), stream));
    let watch = Watch::new(patience_of(&shared.house.limits));
    let service = service_fn(|mut request: Request<Incoming>| {
        let (edge, flight) = (Arc::clone(&shared.house.edge), watch.begin());
        request.extensions_mut().insert(address);
        async move { Ok::<_, Infallible>(edge.handle(request).await.map(|body| Answer::new(body, flight))) }
    });
    if is_http2 {
        let connection = pin!(http2_builder(&shared.house.settings).serve_connection(io, service));
        attend(shared, &watch, connection, http2::Connection::graceful_shutdown).await
    } else {
        let connection = pin!(http1_builder(patience).serve_connection(io, service));
        attend(shared, &watch, connection, http1::Connection::graceful_shutdown).await
    }
}

/// Drives a connection to its end: its own, that of the process, or that of our patience.
async fn attend<C>(
    shared: &Shared,
    watch: &Watch,
    mut connection: Pin<&mut C>,
    drain: impl Fn(Pin<&mut C>),
) -> Result<(), End>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut rounds = interval(watch.round());
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draining = false;
    let mut idle_since = None;
    // Ends with the connection; a drained one is closed by its client, by the watch, or by the server's last patience.
    loop {
        let ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended.map_err(End::from)),
            Poll::Pending if watch.is_abused() => Poll::Ready(Err(End::Abused)),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            biased;
            ended = ended => return ended,
            () = shared.shutdown.cancelled(), if !draining => {
                draining = true;
                drain(connection.as_mut());
            }
            now = rounds.tick() => match watch.fault(now) {
                None => idle_since = None,
                Some(Fault::Stalled) => return Err(End::Stalled),
                Some(Fault::Idle) => match idle_since {
                    Some(since) if now.duration_since(since) >= CLOSE_GRACE => return Err(End::Idle),
                    Some(_) => {}
                    None => {
                        idle_since = Some(now);
                        draining = true;
                        drain(connection.as_mut());
                    }
                },
            }
        }
    }
}

/// Reads until it is clear which protocol is spoken: the whole preface, or the first bytes that differ from it.
async fn beginning<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut begun = vec![0; PREFACE.len()];
    let mut length = 0;
    while length < PREFACE.len() && begun[..length] == PREFACE[..length] {
        match stream.read(&mut begun[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    begun.truncate(length);
    Ok(begun)
}

fn patience_of(limits: &EdgeSettings) -> Patience {
    Patience { idle: limits.idle_timeout.0, untaken: limits.send_timeout.0, broken: limits.max_resets }
}

fn http2_builder(settings: &ServerSettings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.keepalive_interval.0)
        .keep_alive_timeout(settings.keepalive_timeout.0)
        .max_concurrent_streams(settings.max_calls_per_connection)
        .max_header_list_size(u32::try_from(MAX_HEADERS).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

fn http1_builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_header_size(MAX_HEADERS)
        .max_buf_size(MAX_HEADERS.max(64 * 1024));
    builder
}
