//! A toy server: a stock service that panics, waits and tells on request, and an order service that streams.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flotilla_auth::{AuthSettings, Authenticator, Caller, Role, StaticKeys, TokenSigner};
use flotilla_config::HumanDuration;
use flotilla_proto::inventory::v1::stock_service_client::StockServiceClient;
use flotilla_proto::inventory::v1::stock_service_server::{StockService, StockServiceServer};
use flotilla_proto::inventory::v1::{AdjustStockRequest, GetStockRequest, Stock};
use flotilla_proto::orders::v1::order_service_server::{OrderService, OrderServiceServer};
use flotilla_proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, PlaceOrderRequest,
    WatchOrderRequest, WatchOrderResponse,
};
use flotilla_rpc::{
    Access, AccessRules, Channel, ClientSettings, Deadline, HealthHandle, ServeError, Server, ServerSettings, caller,
    channel,
};
use flotilla_telemetry::Registry;
use futures::{Stream, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

pub const USER: Uuid = Uuid::from_u128(7);

/// Where calls named `wait` stand until they are let go.
pub struct Gate {
    /// Calls that are inside.
    pub inside: watch::Sender<usize>,
    pub open: Semaphore,
}

/// Counts a call out, also when it is cancelled.
struct Inside(Arc<Gate>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.send_modify(|inside| *inside -= 1);
    }
}

impl Gate {
    async fn pass(self: &Arc<Self>) {
        self.inside.send_modify(|inside| *inside += 1);
        let _inside = Inside(Arc::clone(self));
        self.open.acquire().await.unwrap().forget();
    }

    /// Waits until so many calls are inside.
    pub async fn holds(&self, count: usize) {
        let mut inside = self.inside.subscribe();
        tokio::time::timeout(Duration::from_secs(120), inside.wait_for(|inside| *inside == count))
            .await
            .expect("calls come and go in time")
            .unwrap();
    }
}

struct Shop {
    gate: Arc<Gate>,
    /// A channel to this same server.
    own: Channel,
}

fn left(deadline: Option<&Deadline>) -> i64 {
    deadline.map_or(-1, |deadline| deadline.remaining().as_millis() as i64)
}

#[tonic::async_trait]
impl StockService for Shop {
    async fn get_stock(&self, request: Request<GetStockRequest>) -> Result<Response<Stock>, Status> {
        let caller = caller(&request).ok();
        let deadline = request.extensions().get::<Deadline>().copied();
        let mut stock = Stock { name: told(&request.into_inner().name).to_owned(), ..Stock::default() };
        match stock.name.as_str() {
            "panic" => panic!("a bug"),
            "wait" => self.gate.pass().await,
            "deadline" => stock.on_hand = left(deadline.as_ref()),
            "forward" => {
                let mut client = StockServiceClient::new(self.own.clone());
                let inner = client.get_stock(stock_of("deadline")).await?.into_inner();
                stock.on_hand = left(deadline.as_ref());
                stock.reserved = inner.on_hand;
            }
            "caller" => stock.name = caller.map_or("nobody".to_owned(), |caller| caller.user.to_string()),
            _ => {}
        }
        Ok(Response::new(stock))
    }

    async fn adjust_stock(&self, request: Request<AdjustStockRequest>) -> Result<Response<Stock>, Status> {
        Ok(Response::new(Stock { name: request.into_inner().product, ..Stock::default() }))
    }
}

#[tonic::async_trait]
impl OrderService for Shop {
    async fn place_order(&self, _: Request<PlaceOrderRequest>) -> Result<Response<Order>, Status> {
        panic!("no rule lets anybody in")
    }

    async fn get_order(&self, _: Request<GetOrderRequest>) -> Result<Response<Order>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn list_orders(&self, _: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn cancel_order(&self, _: Request<CancelOrderRequest>) -> Result<Response<Order>, Status> {
        Ok(Response::new(Default::default()))
    }

    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<WatchOrderResponse, Status>> + Send>>;

    /// One response for each opening of the gate; three in all, then an error.
    async fn watch_order(&self, _: Request<WatchOrderRequest>) -> Result<Response<Self::WatchOrderStream>, Status> {
        let gate = Arc::clone(&self.gate);
        let stream = futures::stream::iter(0..3).then(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.pass().await;
                Ok(WatchOrderResponse::default())
            }
        });
        Ok(Response::new(Box::pin(stream.chain(futures::stream::iter([Err(Status::data_loss("the end"))])))))
    }
}

/// A running toy server.
pub struct Toy {
    pub channel: Channel,
    pub url: String,
    pub gate: Arc<Gate>,
    pub health: HealthHandle,
    pub registry: Registry,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<Result<(), ServeError>>,
    pub signer: TokenSigner,
}

pub fn rules() -> AccessRules {
    AccessRules::new()
        .allow("/flotilla.inventory.v1.StockService/GetStock", Access::Public)
        .allow("/flotilla.inventory.v1.StockService/AdjustStock", Access::Operator)
        .allow("/flotilla.orders.v1.OrderService/GetOrder", Access::Authenticated)
        .allow("/flotilla.orders.v1.OrderService/WatchOrder", Access::Public)
}

pub fn settings() -> ServerSettings {
    ServerSettings { drain_grace: HumanDuration::from_secs(120), ..ServerSettings::default() }
}

impl Toy {
    pub async fn start(settings: ServerSettings) -> Self {
        let auth = AuthSettings::default();
        let signer = TokenSigner::from_seed(&[3; 32], "k", &auth.issuer, &auth.audience).unwrap();
        let authenticator = Authenticator::new(&auth, Arc::new(StaticKeys::new([signer.verifying_key()])));
        Self::start_with(settings, Some(authenticator), signer).await
    }

    pub async fn start_with(
        settings: ServerSettings,
        authenticator: Option<Authenticator>,
        signer: TokenSigner,
    ) -> Self {
        let listener = TcpListener::bind(settings.listen).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // What the server says is looked at: nothing is tried again.
        let once = ClientSettings { retry_attempts: 1, ..ClientSettings::default() };
        let channel = channel(&url, &once).unwrap();
        let gate = Arc::new(Gate { inside: watch::Sender::new(0), open: Semaphore::new(0) });
        let shop = Arc::new(Shop { gate: Arc::clone(&gate), own: channel.clone() });
        let registry = Registry::new();
        let server = Server::new(&settings, authenticator, rules(), &registry)
            .add(StockServiceServer::from_arc(Arc::clone(&shop)))
            .add(OrderServiceServer::from_arc(shop));
        let health = server.health();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { channel, url, gate, health, registry, shutdown, serving, signer }
    }

    pub fn token(&self, role: Role) -> String {
        token(&self.signer, role)
    }

    pub async fn get(&self, name: &str) -> Result<Stock, Status> {
        get(self.channel.clone(), name).await
    }

    pub fn metrics(&self) -> String {
        flotilla_telemetry::render(&self.registry)
    }
}

/// The request that tells the toy what to do: by the name of a product, as the contract wants it.
pub fn stock_of(what: &str) -> GetStockRequest {
    GetStockRequest { name: format!("products/{what}/stock") }
}

fn told(name: &str) -> &str {
    name.strip_prefix("products/").and_then(|rest| rest.strip_suffix("/stock")).unwrap_or(name)
}

/// Requests that the contract lets through.
pub fn adjustment(reason: &str) -> AdjustStockRequest {
    AdjustStockRequest {
        product: "products/tea".to_owned(),
        delta: 1,
        reason: reason.to_owned(),
        request_id: "r".to_owned(),
    }
}

/// The name of some order.
pub fn order() -> String {
    format!("orders/{USER}")
}

/// A watch of some order.
pub fn watch_request() -> WatchOrderRequest {
    WatchOrderRequest { name: order(), ..WatchOrderRequest::default() }
}

/// A token of [`USER`], good for a while.
pub fn token(signer: &TokenSigner, role: Role) -> String {
    let expires = SystemTime::now() + Duration::from_secs(600);
    signer.sign(&Caller { user: USER, session: USER, role, expires }, SystemTime::now())
}

pub async fn get(channel: Channel, name: &str) -> Result<Stock, Status> {
    StockServiceClient::new(channel).get_stock(stock_of(name)).await.map(Response::into_inner)
}
