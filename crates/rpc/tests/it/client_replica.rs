//! Replicas of a made-up service, each like a process of its own, and calls to them without generated code.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flotilla_proto::policy::{Idempotency, MethodPolicy};
use flotilla_rpc::{Channel, ChannelBuilder, ClientSettings};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status, Streaming};

pub const READ: &str = "/toy.Toy/Read";
pub const WRITE: &str = "/toy.Toy/Write";
pub const WATCH: &str = "/toy.Toy/Watch";

/// Longer than any call may take.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// What the contracts would say of the service.
pub fn methods() -> Vec<MethodPolicy> {
    let method = |name: &str, server_streaming, idempotency| MethodPolicy {
        service: "toy.Toy".to_owned(),
        method: name.to_owned(),
        path: format!("/toy.Toy/{name}"),
        client_streaming: false,
        server_streaming,
        access: None,
        peers: Vec::new(),
        deadline: None,
        idempotency,
    };
    vec![
        method("Read", false, Idempotency::NoSideEffects),
        method("Write", false, Idempotency::Unknown),
        method("Watch", true, Idempotency::NoSideEffects),
    ]
}

/// What a replica does with a call.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers with its port.
    Answer,
    /// Answers after a while.
    Slow(Duration),
    /// Refuses, in the head of the response.
    Refuse(Status),
    /// Begins to answer, and fails in the trailers.
    Fail(Code),
    /// Refuses once, then answers.
    RefuseOnce(Status),
    /// Begins to fail in the trailers, then answers.
    FailOnce(Code),
    /// Begins to answer, and never ends.
    Hang,
}

/// What a replica has seen.
#[derive(Debug, Default)]
struct Seen {
    calls: usize,
    messages: HashMap<Bytes, usize>,
    headers: HeaderMap,
}

/// A server with threads of its own: it can be killed as a process is.
pub struct Replica {
    pub address: SocketAddr,
    act: Arc<Mutex<Act>>,
    seen: Arc<Mutex<Seen>>,
    runtime: Option<Runtime>,
    draining: CancellationToken,
}

impl Replica {
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    pub fn start_at(address: SocketAddr) -> Self {
        let (act, seen) = (Arc::new(Mutex::new(Act::Answer)), Arc::new(Mutex::new(Seen::default())));
        let mut replica = Self { address, act, seen, runtime: None, draining: CancellationToken::new() };
        replica.run();
        replica
    }

    /// Runs, also once more at the same address after it was killed.
    pub fn run(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let (act, seen, port) = (Arc::clone(&self.act), Arc::clone(&self.seen), self.address.port());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (act, seen) = (Arc::clone(&act), Arc::clone(&seen));
            async move { Ok::<_, std::convert::Infallible>(answer(request, &act, &seen, port).await) }
        });
        let draining = self.draining.clone().cancelled_owned();
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            let server = tonic::transport::Server::builder();
            server.serve_with_incoming_shutdown(service, incoming, draining).await.unwrap();
        });
        self.runtime = Some(runtime);
    }

    /// Ends it at once, with all of its connections.
    pub fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Lets it finish what it has, and take no more.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    pub fn act(&self, act: Act) {
        *self.act.lock() = act;
    }

    /// Calls that have arrived.
    pub fn calls(&self) -> usize {
        self.seen.lock().calls
    }

    /// How often a message has arrived.
    pub fn times(&self, message: &str) -> usize {
        self.seen.lock().messages.get(message.as_bytes()).copied().unwrap_or(0)
    }

    /// The headers of the last call.
    pub fn headers(&self) -> HeaderMap {
        self.seen.lock().headers.clone()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(request: Request<Body>, act: &Mutex<Act>, seen: &Mutex<Seen>, port: u16) -> Response<Body> {
    let watch = request.uri().path() == WATCH;
    let headers = request.headers().clone();
    let message = request.into_body().collect().await.unwrap().to_bytes().slice(5..);
    {
        let mut seen = seen.lock();
        seen.calls += 1;
        *seen.messages.entry(message).or_default() += 1;
        seen.headers = headers;
    }
    let act = {
        let mut act = act.lock();
        let now = act.clone();
        if matches!(now, Act::RefuseOnce(_) | Act::FailOnce(_)) {
            *act = Act::Answer;
        }
        now
    };
    let text = port.to_string();
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(text.len() as u32);
    message.put_slice(text.as_bytes());
    let message = message.freeze();
    match act {
        Act::Refuse(status) | Act::RefuseOnce(status) => status.into_http(),
        Act::Fail(code) | Act::FailOnce(code) => respond(Some(message).filter(|_| watch), Some(code)),
        Act::Slow(pause) => {
            tokio::time::sleep(pause).await;
            respond(Some(message), Some(Code::Ok))
        }
        Act::Answer => respond(Some(message), Some(Code::Ok)),
        Act::Hang => respond(Some(message).filter(|_| watch), None),
    }
}

/// A response with a message and a status, each where there is one; without a status it doesn't end.
fn respond(message: Option<Bytes>, code: Option<Code>) -> Response<Body> {
    let trailers = code.map(|code| {
        let status = HeaderValue::from(code as i32);
        http_body::Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), status)]))
    });
    let ends = trailers.is_some();
    let frames = message.map(http_body::Frame::data).into_iter().chain(trailers).map(Ok::<_, Status>);
    let frames = futures::stream::iter(frames.collect::<Vec<_>>());
    let body = if ends {
        Body::new(StreamBody::new(frames))
    } else {
        Body::new(StreamBody::new(frames.chain(futures::stream::pending())))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// Settings that detect failures quickly, without a breaker, and with deadlines that even a busy machine doesn't
/// exceed.
pub fn quick() -> ClientSettings {
    ClientSettings {
        resolve_interval: flotilla_config::HumanDuration::from_millis(300),
        reconnect_pause: flotilla_config::HumanDuration::from_millis(200),
        breaker_calls: u32::MAX,
        connect_timeout: TIMEOUT.into(),
        default_deadline: TIMEOUT.into(),
        keepalive_timeout: TIMEOUT.into(),
        ..ClientSettings::default()
    }
}

/// A channel to these replicas.
pub fn to(replicas: &[&Replica], settings: &ClientSettings) -> Channel {
    let addresses: Vec<_> = replicas.iter().map(|replica| replica.address.to_string()).collect();
    ChannelBuilder::new(settings).methods(&methods()).connect(&format!("http://{}", addresses.join(","))).unwrap()
}

/// Calls a unary method and returns the port of whoever answered.
pub async fn call(channel: &Channel, path: &'static str, message: &str) -> Result<u16, Status> {
    call_with(channel, path, tonic::Request::new(Bytes::copy_from_slice(message.as_bytes()))).await
}

pub async fn call_with(channel: &Channel, path: &'static str, request: tonic::Request<Bytes>) -> Result<u16, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await?;
    let answer = timeout(TIMEOUT, client.unary(request, path.parse().unwrap(), Raw)).await.expect("a call ends");
    let answer = answer?.into_inner();
    Ok(std::str::from_utf8(&answer).unwrap().parse().unwrap())
}

/// Opens a stream.
pub async fn watch(channel: &Channel, deadline: Option<Duration>) -> Result<Streaming<Bytes>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    let mut request = tonic::Request::new(Bytes::new());
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    Ok(client.server_streaming(request, WATCH.parse().unwrap(), Raw).await?.into_inner())
}

/// Messages as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
