//! One connection: its protocol, its limits, and its end.
//!
//! The start has a deadline (TLS handshake, first bytes, each HTTP/1.1 request's headers; HTTP/2 connections are
//! checked by pings and for idleness). Header lists are small, which also bounds CONTINUATION frames; buffers are as
//! large as the memory allows. Resets that cause work are bounded in three places: h2 limits those not yet accepted and
//! those provoked by malformed frames, [`Activity`] limits the rest.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use flotilla_rpc::{ServerSettings, ServiceExecutor};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Fault};
use super::answer::Answer;
use super::listener::PeerAddress;
use super::replay::Replay;
use super::{Accepted, Shared};
use crate::admission::{RequestMemory, Windows};
use crate::client_address::network;
use crate::dispatch;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest header list that a client may send.
const MAX_HEADERS: usize = 16 * 1024;
/// Streams that the client reset before they were accepted.
pub const PENDING_RESETS: usize = 20;
/// Streams that the server reset because of what the client sent.
const ERROR_RESETS: usize = 64;
/// How long a connection may take to close after GOAWAY.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
/// The same for a connection whose slot another one already has.
const DISPLACED_GRACE: Duration = Duration::from_secs(1);

/// Why a connection was ended.
#[derive(Debug, thiserror::Error)]
pub enum End {
    #[error("the client sent nothing in time")]
    Silent,
    #[error("the client cancelled too many calls")]
    Abused,
    #[error("the client did not read a response in time")]
    Stalled,
    #[error("the idle client did not close the connection when asked to")]
    Idle,
    #[error("the idle connection was evicted for a new one")]
    Displaced,
    #[error("the TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

impl End {
    /// Why the gateway ended it, as a label in the metrics.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Silent => Some("silent"),
            Self::Abused => Some("resets"),
            Self::Stalled => Some("stalled"),
            Self::Idle => Some("idle"),
            Self::Displaced => Some("displaced"),
            Self::Tls(_) => Some("tls"),
            Self::Io(_) | Self::Http(_) => None,
        }
    }

    /// Whether the client has cancelled too many calls before they were accepted.
    pub fn is_flood(&self) -> bool {
        let Self::Http(error) = self else { return false };
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        cause.and_then(h2::Error::reason) == Some(h2::Reason::ENHANCE_YOUR_CALM)
    }
}

/// Serves a connection to its end.
///
/// # Errors
/// Why it ended, unless both sides agreed.
pub async fn serve(shared: &Shared, accepted: Accepted) -> Result<(), End> {
    let Accepted { stream, address, activity, open, begin_within } = accepted;
    stream.set_nodelay(true)?;
    let connection = Connection { shared, address, activity, close: &open.close, begin_within };
    let Some(tls) = &shared.port.tls else { return connection.speak(stream).await };
    let secured = connection.begin(async { tls.accept(stream).await.map_err(End::Tls) }).await?;
    match secured {
        Some(secured) => connection.speak(secured.stream).await,
        None => Ok(()),
    }
}

/// A connection that is being served.
struct Connection<'a> {
    shared: &'a Shared,
    address: PeerAddress,
    activity: Arc<Activity>,
    /// Cancelled when another connection needs the slot of this one.
    close: &'a CancellationToken,
    /// The deadline of each part of the start.
    begin_within: Duration,
}

impl Connection<'_> {
    /// Runs a part of the connection's start; `None` if the server shuts down.
    async fn begin<T>(&self, part: impl Future<Output = Result<T, End>>) -> Result<Option<T>, End> {
        tokio::select! {
            () = self.shared.shutdown.cancelled() => Ok(None),
            () = self.close.cancelled() => Err(End::Displaced),
            done = timeout(self.begin_within, part) => done.map_err(|_| End::Silent)?.map(Some),
        }
    }

    /// Serves either version of HTTP over any kind of stream.
    async fn speak<S>(&self, mut stream: S) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let begun = self.begin(async { beginning(&mut stream).await.map_err(End::Io) }).await?;
        let Some(begun) = begun.filter(|begun| !begun.is_empty()) else { return Ok(()) };
        let is_http2 = begun == PREFACE;
        let io = TokioIo::new(Replay::new(begun.into(), stream));
        let (edge, address) = (&self.shared.port.edge, self.address);
        let service = service_fn(|mut request: Request<Incoming>| {
            let client = edge.proxies.client(address.0, request.headers());
            let (edge, call) = (Arc::clone(edge), self.activity.begin(network(client.0)));
            request.extensions_mut().insert(client);
            async move {
                let mut response = dispatch::handle(edge, request).await;
                let memory = response.extensions_mut().remove::<RequestMemory>();
                Ok::<_, Infallible>(response.map(|body| Answer::new(body, call, memory)))
            }
        });
        if is_http2 {
            let settings = &self.shared.port.settings;
            let windows = edge.admission.memory.windows(settings.max_calls_per_connection);
            let connection = pin!(http2_builder(settings, windows).serve_connection(io, service));
            self.attend(connection, http2::Connection::graceful_shutdown).await
        } else {
            let connection = pin!(http1_builder(self.begin_within).serve_connection(io, service));
            self.attend(connection, http1::Connection::graceful_shutdown).await
        }
    }

    /// Drives a connection until it ends by itself, at shutdown, or by a time limit.
    async fn attend<C>(&self, mut connection: Pin<&mut C>, drain: impl Fn(Pin<&mut C>)) -> Result<(), End>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let activity = &self.activity;
        let mut rounds = interval(activity.round());
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut draining, mut displaced) = (false, false);
        // When a connection that was asked to close is closed forcibly, and the reason.
        let mut overdue: Option<(Instant, End)> = None;
        // Ends with the connection; a drained one is closed by its client, by a time limit, or by the server's grace.
        loop {
            let ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(ended.map_err(End::from)),
                Poll::Pending if activity.is_abused() => Poll::Ready(Err(End::Abused)),
                Poll::Pending => Poll::Pending,
            });
            let late = overdue.as_ref().map(|(at, _)| *at);
            tokio::select! {
                biased;
                ended = ended => return ended,
                () = self.shared.shutdown.cancelled(), if !draining => {
                    draining = true;
                    drain(connection.as_mut());
                }
                () = self.close.cancelled(), if !displaced => {
                    if activity.is_aborted() {
                        return Err(End::Displaced);
                    }
                    (draining, displaced) = (true, true);
                    overdue = Some((Instant::now() + DISPLACED_GRACE, End::Displaced));
                    drain(connection.as_mut());
                }
                () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {
                    // A call that arrived before the client saw the GOAWAY is still answered.
                    if let Some((_, end)) = overdue.take().filter(|_| activity.unused_since(Instant::now()).is_some()) {
                        return Err(end);
                    }
                }
                now = rounds.tick() => match activity.fault(now) {
                    Some(Fault::Stalled) => return Err(End::Stalled),
                    Some(Fault::Idle) if overdue.is_none() => {
                        draining = true;
                        overdue = Some((now + CLOSE_GRACE, End::Idle));
                        drain(connection.as_mut());
                    }
                    _ => {}
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

fn http2_builder(settings: &ServerSettings, windows: Windows) -> http2::Builder<ServiceExecutor> {
    let mut builder = http2::Builder::new(ServiceExecutor);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.keepalive_interval.0)
        .keep_alive_timeout(settings.keepalive_timeout.0)
        .max_concurrent_streams(windows.streams)
        .max_header_list_size(u32::try_from(MAX_HEADERS).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .max_send_buf_size(windows.send)
        .initial_stream_window_size(windows.stream)
        .initial_connection_window_size(windows.connection);
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
