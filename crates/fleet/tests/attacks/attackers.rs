//! Malicious clients: bare HTTP/2 from their own address, on threads of their own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    net::TcpSocket,
    runtime::Runtime,
    task::JoinSet,
    time::{Instant, sleep},
};

/// The attackers' address.
pub const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The nice value of the attackers' threads: the lowest priority.
const NICENESS: i32 = 19;
/// The attackers' receive window for a connection.
const WINDOW: u32 = 64 * 1024;
/// A method that needs a body and no token.
const LOGIN: &str = "/flotilla.identity.v1.AuthService/Login";

pub type Sender = SendRequest<Full<Bytes>>;

/// Counters of the attackers.
#[derive(Default)]
pub struct Deeds {
    /// Actions of the attack: streams opened, calls cancelled or answered.
    pub done: AtomicUsize,
    /// Actions that were refused.
    pub refused: AtomicUsize,
}

impl Deeds {
    pub fn note(&self, done: bool) {
        let count = if done { &self.done } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn all(&self) -> usize {
        self.done.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed)
    }
}

/// A running attack.
pub struct Attack {
    /// The number of actions, done or refused, after which the attack counts as under way.
    pub begun_after: usize,
    pub deeds: Arc<Deeds>,
    tasks: JoinSet<()>,
    threads: Threads,
    began: Instant,
    /// Cleanup after the attack.
    undo: Option<BoxFuture<'static, ()>>,
}

impl Attack {
    pub fn new(begun_after: usize) -> Self {
        let (deeds, tasks, threads) = (Arc::default(), JoinSet::new(), Threads::start());
        Self { begun_after, deeds, tasks, threads, began: Instant::now(), undo: None }
    }

    pub fn spawn(&mut self, attacker: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(attacker, self.threads.0.as_ref().expect("until it is dropped").handle());
    }

    /// Adds cleanup to run after the attack.
    pub fn and_then(mut self, undo: impl Future<Output = ()> + Send + 'static) -> Self {
        self.undo = Some(Box::pin(undo));
        self
    }

    pub async fn until_under_way(&self, patience: Duration) {
        while self.deeds.all() < self.begun_after {
            assert!(self.began.elapsed() < patience, "only {} deeds of {}", self.deeds.all(), self.begun_after);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the attack and returns a summary.
    pub async fn end(mut self) -> String {
        self.tasks.shutdown().await;
        if let Some(undo) = self.undo.take() {
            undo.await;
        }
        let (done, refused) = (&self.deeds.done, &self.deeds.refused);
        let (done, refused) = (done.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        format!("{done} done, {refused} refused in {:.0?}", self.began.elapsed())
    }
}

/// The attackers' runtime. Honest clients run in the same process: on the same threads, or at the same priority, they would
/// measure the attackers' own work.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> Self {
        let yielding = || {
            // For the calling thread alone.
            rustix::process::setpriority_process(None, NICENESS).expect("a lower priority is anybody's to take");
        };
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        Self(Some(threads.worker_threads(2).enable_all().on_thread_start(yielding).build().unwrap()))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// A connection to the gateway.
pub async fn connect(gateway: SocketAddr) -> Option<Sender> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((FROM, 0))).ok()?;
    let tcp = socket.connect(gateway).await.ok()?;
    tcp.set_nodelay(true).ok()?;
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(tcp))
        .await
        .ok()?;
    tokio::spawn(connection);
    Some(sender)
}

/// A gRPC request.
pub fn grpc(gateway: SocketAddr, path: &str, message: &impl Message, token: Option<&str>) -> Request<Full<Bytes>> {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap().to_be_bytes();
    let body = [&[0], &length[..], &encoded].concat();
    let mut request = Request::post(format!("http://{gateway}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("authorization", HeaderValue::from_str(token).unwrap());
    }
    request
}

/// The headers of a log-in; `number` selects the protocol.
pub fn login(gateway: SocketAddr, number: usize) -> Request<()> {
    let (path, kind) = match number % 3 {
        0 => ("/v1/auth:login", "application/json"),
        1 => (LOGIN, "application/grpc"),
        _ => (LOGIN, "application/json"),
    };
    let request = Request::post(format!("http://{gateway}{path}")).header("content-type", kind);
    request.header("te", "trailers").body(()).unwrap()
}

/// Whether a call was accepted, judged by the response headers.
pub fn is_begun(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::OK
        && response.headers().get("grpc-status").is_none_or(|status| status.as_bytes() == b"0")
}
