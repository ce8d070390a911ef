//! A toy of all four kinds of calls, without a contract: what it does is told by the name in the request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_proto::codec::StrictCodec;
use flotilla_proto::inventory::v1::Stock;
use flotilla_rpc::{Access, AccessRules, Deadline, ServeError, Server, ServerSettings};
use flotilla_telemetry::Registry;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, Request, Response, Status, Streaming};
use tower::{Service, service_fn};

type Items = Pin<Box<dyn Stream<Item = Result<Stock, Status>> + Send>>;

/// What the handlers have seen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Messages of client streams.
    pub received: usize,
    /// How the last client stream ended for its handler.
    pub ended: Option<String>,
    /// Streams that run.
    pub open: usize,
}

/// The service.
#[derive(Clone)]
pub struct Pipes(Arc<watch::Sender<Seen>>);

impl NamedService for Pipes {
    const NAME: &'static str = "toy.v1.Pipes";
}

/// Counts a stream out, also when it is cancelled.
struct Open(Pipes);

impl Open {
    fn begin(pipes: &Pipes) -> Self {
        pipes.0.send_modify(|seen| seen.open += 1);
        Self(pipes.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|seen| seen.open -= 1);
    }
}

pub fn stock(name: impl Into<String>) -> Stock {
    Stock { name: name.into(), ..Stock::default() }
}

fn holding(open: Open, items: impl Stream<Item = Result<Stock, Status>> + Send + 'static) -> Items {
    Box::pin(items.inspect(move |_| {
        let _ = &open;
    }))
}

impl Pipes {
    /// Echoes; `wait` never answers.
    async fn one(self, request: Request<Stock>) -> Result<Response<Stock>, Status> {
        let _open = Open::begin(&self);
        if request.get_ref().name == "wait" {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(request.into_inner()))
    }

    /// Two items, then what the name says.
    async fn down(self, request: Request<Stock>) -> Result<Response<Items>, Status> {
        let open = Open::begin(&self);
        let name = request.into_inner().name;
        if name == "silent" {
            std::future::pending::<()>().await;
        }
        if name == "flood" {
            return Ok(Response::new(holding(open, futures::stream::repeat_with(|| Ok(stock("drop"))))));
        }
        let left = move || Deadline::current().map_or(-1, |deadline| deadline.remaining().as_millis() as i64);
        let items = futures::stream::iter(0..2).map(move |_| Ok(Stock { on_hand: left(), ..stock("item") }));
        let end = futures::stream::once(async move {
            match name.as_str() {
                "panic" => {
                    // What came before is sent first.
                    tokio::task::yield_now().await;
                    panic!("a bug")
                }
                "end" => Err(Status::data_loss("the end")),
                _ => std::future::pending().await,
            }
        });
        Ok(Response::new(holding(open, items.chain(end))))
    }

    /// Counts.
    async fn up(self, request: Request<Streaming<Stock>>) -> Result<Response<Stock>, Status> {
        let _open = Open::begin(&self);
        let mut items = request.into_inner();
        loop {
            match items.message().await {
                Ok(Some(_)) => self.0.send_modify(|seen| seen.received += 1),
                Ok(None) => return Ok(Response::new(stock(self.0.borrow().received.to_string()))),
                Err(status) => {
                    self.0.send_modify(|seen| seen.ended = Some(status.message().to_owned()));
                    return Err(status);
                }
            }
        }
    }

    /// Echoes each.
    async fn both(self, request: Request<Streaming<Stock>>) -> Result<Response<Items>, Status> {
        let open = Open::begin(&self);
        Ok(Response::new(holding(open, request.into_inner())))
    }
}

impl Service<http::Request<Body>> for Pipes {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let pipes = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(StrictCodec::<Stock, Stock>::default());
            let path = request.uri().path().to_owned();
            let response = match path.rsplit('/').next() {
                Some("One") => grpc.unary(handler(&pipes, Self::one), request).await,
                Some("Down") => grpc.server_streaming(handler(&pipes, Self::down), request).await,
                Some("Up") => grpc.client_streaming(handler(&pipes, Self::up), request).await,
                _ => grpc.streaming(handler(&pipes, Self::both), request).await,
            };
            Ok(response)
        })
    }
}

/// A method as the service that tonic asks for.
fn handler<A, B, F, Fut>(
    pipes: &Pipes,
    method: F,
) -> impl Service<Request<A>, Response = Response<B>, Error = Status, Future = BoxFuture<'static, Result<Response<B>, Status>>>
where
    A: Send + 'static,
    B: 'static,
    F: Fn(Pipes, Request<A>) -> Fut,
    Fut: Future<Output = Result<Response<B>, Status>> + Send + 'static,
{
    let pipes = pipes.clone();
    service_fn(move |request| -> BoxFuture<'static, Result<Response<B>, Status>> {
        Box::pin(method(pipes.clone(), request))
    })
}

/// A running toy.
pub struct Toy {
    pub url: String,
    pub channel: Channel,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<Result<(), ServeError>>,
    pub registry: Registry,
    seen: watch::Receiver<Seen>,
}

pub fn settings() -> ServerSettings {
    ServerSettings { drain_grace: HumanDuration::from_secs(120), ..ServerSettings::default() }
}

pub fn rules() -> AccessRules {
    AccessRules::new()
        .allow("/toy.v1.Pipes/One", Access::Public)
        .allow("/toy.v1.Pipes/Down", Access::Public)
        .streaming("/toy.v1.Pipes/Down")
        .allow("/toy.v1.Pipes/Up", Access::Public)
        .client_streaming("/toy.v1.Pipes/Up")
        .allow("/toy.v1.Pipes/Both", Access::Public)
        .streaming("/toy.v1.Pipes/Both")
        .client_streaming("/toy.v1.Pipes/Both")
}

impl Toy {
    pub async fn start(settings: ServerSettings) -> Self {
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let registry = Registry::new();
        let (sender, seen) = watch::channel(Seen::default());
        let server = Server::new(&settings, None, rules(), &registry).add(Pipes(Arc::new(sender)));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
        let channel = Endpoint::from_shared(url.clone()).unwrap().connect_lazy();
        Self { url, channel, shutdown, serving, registry, seen }
    }

    /// Waits until the handlers have seen what `is_so` asks for.
    pub async fn until(&self, is_so: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        let waited = tokio::time::timeout(Duration::from_secs(120), seen.wait_for(is_so)).await;
        waited.expect("seen in time").unwrap().clone()
    }

    pub async fn client(&self) -> tonic::client::Grpc<Channel> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        client
    }

    pub async fn one(&self, request: impl IntoRequest<Stock>) -> Result<Stock, Status> {
        let path = PathAndQuery::from_static("/toy.v1.Pipes/One");
        let answer =
            self.client().await.unary(request.into_request(), path, StrictCodec::<Stock, Stock>::default()).await;
        answer.map(Response::into_inner)
    }

    pub async fn down(&self, request: impl IntoRequest<Stock>) -> Result<Streaming<Stock>, Status> {
        let path = PathAndQuery::from_static("/toy.v1.Pipes/Down");
        let codec = StrictCodec::<Stock, Stock>::default();
        self.client().await.server_streaming(request.into_request(), path, codec).await.map(Response::into_inner)
    }

    pub async fn up(&self, items: impl Stream<Item = Stock> + Send + 'static) -> Result<Stock, Status> {
        let path = PathAndQuery::from_static("/toy.v1.Pipes/Up");
        let codec = StrictCodec::<Stock, Stock>::default();
        self.client().await.client_streaming(Request::new(items), path, codec).await.map(Response::into_inner)
    }

    pub async fn both(&self, items: impl Stream<Item = Stock> + Send + 'static) -> Result<Streaming<Stock>, Status> {
        let path = PathAndQuery::from_static("/toy.v1.Pipes/Both");
        let codec = StrictCodec::<Stock, Stock>::default();
        self.client().await.streaming(Request::new(items), path, codec).await.map(Response::into_inner)
    }
}
