//! The public port: accepts connections and serves HTTP/1.1 and HTTP/2 (prior knowledge) on them.
//!
//! Own accept loop: connections are capped, a silent or slow one is closed in time (its first bytes and each request's
//! headers have a deadline), and a drain lets requests in flight end.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use flotilla_rpc::ServerSettings;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, join};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::edge::Edge;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest header list that a client may send.
const MAX_HEADERS: usize = 16 * 1024;
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Pause after a failed accept (no more file descriptors, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long broken connections may take to go.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// How connections are served.
#[derive(Debug)]
struct Shared {
    edge: Arc<Edge>,
    settings: ServerSettings,
    header_timeout: Duration,
    /// No more requests.
    shutdown: CancellationToken,
    /// No more patience.
    kill: CancellationToken,
}

/// Serves until `shutdown` is cancelled; then lets requests in flight end, at most for the drain grace.
///
/// # Errors
/// None; failures of single connections are their clients' to see.
pub async fn serve(
    listener: TcpListener,
    edge: Arc<Edge>,
    settings: ServerSettings,
    header_timeout: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(settings.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let grace = settings.drain_grace.0;
    let kill = CancellationToken::new();
    let shared = Arc::new(Shared { edge, settings, header_timeout, shutdown: shutdown.clone(), kill: kill.clone() });
    let connections = TaskTracker::new();
    // Ends with the token; each round waits for a place or a connection.
    while let Some((stream, place)) = accept(&listener, &places, &shutdown).await {
        connections.spawn(connection(Arc::clone(&shared), stream, place));
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
    Ok(())
}

/// The next connection, once there is a place for it; `None` on shutdown.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::debug!(%error, "connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = next => accepted,
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, _place: OwnedSemaphorePermit) {
    let open = shared.edge.metrics.connections.clone();
    open.inc();
    let served = async {
        tokio::select! {
            () = shared.kill.cancelled() => Ok(()),
            served = serve_connection(&shared, stream) => served,
        }
    };
    if let Err(error) = served.await {
        tracing::debug!(%error, "connection ended with an error");
    }
    open.dec();
}

async fn serve_connection(shared: &Shared, mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let begun = tokio::select! {
        () = shared.shutdown.cancelled() => return Ok(()),
        begun = timeout(shared.header_timeout, beginning(&mut stream)) => begun??,
    };
    if begun.is_empty() {
        return Ok(());
    }
    let is_http2 = begun == PREFACE;
    let (reader, writer) = stream.into_split();
    let io = TokioIo::new(join(Cursor::new(begun).chain(reader), writer));
    let service = service_fn(|request| {
        let edge = Arc::clone(&shared.edge);
        async move { Ok::<_, Infallible>(edge.handle(request).await) }
    });
    if is_http2 {
        let connection = pin!(http2_builder(&shared.settings).serve_connection(io, service));
        until_drained(connection, &shared.shutdown, http2::Connection::graceful_shutdown).await
    } else {
        let connection = pin!(http1_builder(shared.header_timeout).serve_connection(io, service));
        until_drained(connection, &shared.shutdown, http1::Connection::graceful_shutdown).await
    }
}

/// Drives a connection to its end; on shutdown it takes no more requests and ends those that it has.
async fn until_drained<C>(
    mut connection: Pin<&mut C>,
    shutdown: &CancellationToken,
    drain: impl FnOnce(Pin<&mut C>),
) -> anyhow::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = shutdown.cancelled() => {}
    }
    drain(connection.as_mut());
    Ok(connection.await?)
}

/// Reads until it is clear which protocol is spoken: the whole preface, or the first bytes that differ from it.
async fn beginning(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
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

fn http2_builder(settings: &ServerSettings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.keepalive_interval.0)
        .keep_alive_timeout(settings.keepalive_timeout.0)
        .max_concurrent_streams(settings.max_calls_per_connection)
        .max_header_list_size(u32::try_from(MAX_HEADERS).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

fn http1_builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(MAX_HEADERS.max(64 * 1024));
    builder
}
