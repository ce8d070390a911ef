//! Honest clients: a few calls of each kind a second, started at a fixed rate even if earlier calls are still pending.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flotilla_fleet::services::client_settings;
use flotilla_proto::{
    identity::v1::{LoginRequest, auth_service_client::AuthServiceClient},
    inventory::v1::{
        ListProductsRequest, Product, UpdateProductRequest, WatchPricesRequest,
        catalog_service_client::CatalogServiceClient,
    },
    orders::v1::{PlaceOrderLine, PlaceOrderRequest, WatchOrderRequest, order_service_client::OrderServiceClient},
};
use flotilla_rpc::{Channel, ClientSettings, Details};
use flotilla_workload::{client::Session, demo::Shop};
use http::StatusCode;
use tokio::{task::JoinSet, time::Instant};
use tonic::{Request, Status};

use crate::{
    figures::{Figures, Kind},
    fleet::{Fleet, SHOP},
    http2::Connection,
};

/// The interval between two calls of one kind.
pub const BETWEEN: Duration = Duration::from_millis(25);
/// The deadline of a call.
const DEADLINE: Duration = Duration::from_secs(10);
/// The same for a call on a new connection, which has to be accepted at once. A debug build takes longer to get through the
/// burst of calls with which an attack begins.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 8 } else { 2 });
/// Channels that take the calls in turn. A watch ends with a cancellation, and a connection may cancel 20 calls a second.
const CHANNELS: usize = 8;
/// The password of the customer who logs in.
const PASSWORD: &str = "an honest password";

/// Makes the idempotency keys of each measurement unique.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// The clients.
#[derive(Clone)]
pub struct Honest {
    gateway: SocketAddr,
    between: Duration,
    channels: Arc<[Channel]>,
    shop: Arc<Shop>,
    operator: Arc<Session>,
    /// The e-mail address of the customer who logs in.
    email: String,
    /// An order of each customer: a user may have few watches of one order, and slow ones add up.
    orders: Arc<[String]>,
    run: u64,
}

impl Honest {
    /// Clients of one of the fleet's gateways. They don't retry, so that every response is counted.
    pub async fn of(fleet: &Fleet, gateway: SocketAddr, between: Duration) -> Self {
        let settings = ClientSettings { retry_attempts: 1, breaker_calls: u32::MAX, ..client_settings(&fleet.state) };
        let url = format!("http://{gateway}");
        let channels = (0..CHANNELS).map(|_| flotilla_rpc::channel(&url, &settings).unwrap()).collect();
        let (shop, operator) = (Arc::clone(&fleet.shop), Arc::clone(&fleet.operator));
        let email = format!("honest-{}@attack.example", NUMBER.fetch_add(1, Ordering::Relaxed));
        fleet.api.sign_up(&email, "Honest", PASSWORD).await.unwrap();
        let run = shop.stamp();
        let honest = Self { gateway, between, channels, shop, operator, email, orders: Arc::default(), run };
        let orders = futures::future::join_all((0..SHOP.customers).map(|customer| honest.place(customer))).await;
        Self { orders: orders.into_iter().map(Result::unwrap).collect(), ..honest }
    }

    /// Makes calls of all kinds for `duration`, then waits for the pending ones.
    pub async fn measure(&self, duration: Duration) -> Figures {
        let mut calls = JoinSet::new();
        let began = Instant::now();
        for round in 0_u32.. {
            let due = began + self.between * round;
            if due - began >= duration {
                break;
            }
            tokio::time::sleep_until(due).await;
            for kind in Kind::ALL.into_iter().filter(|kind| round.is_multiple_of(kind.rounds())) {
                calls.spawn(self.clone().call(kind, due));
            }
        }
        let mut figures = Figures::default();
        while let Some(call) = calls.join_next().await {
            let (kind, answer) = call.unwrap();
            figures.of(kind).note(answer);
        }
        figures
    }

    async fn call(self, kind: Kind, due: Instant) -> (Kind, Result<Duration, String>) {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let deadline = if kind == Kind::NewConnection { CONNECTION_DEADLINE } else { DEADLINE };
        let answer = tokio::time::timeout(deadline, async {
            match kind {
                Kind::Read => self.read().await,
                Kind::Order => self.place(number).await.map(drop),
                Kind::WatchOrder => self.watch_order(number).await,
                Kind::WatchPrice => self.watch_price(number).await,
                Kind::Change => self.change(number).await,
                Kind::NewConnection => self.connect_and_read().await,
                Kind::LogIn => self.log_in().await,
            }
        });
        let answer = answer.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("nobody answered")));
        let took = due.elapsed();
        (kind, answer.map(|()| took).map_err(|status| told(&status)))
    }

    fn channel(&self) -> Channel {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        self.channels[TURN.fetch_add(1, Ordering::Relaxed) % CHANNELS].clone()
    }

    async fn read(&self) -> Result<(), Status> {
        let request = ListProductsRequest { page_size: 20, ..ListProductsRequest::default() };
        CatalogServiceClient::new(self.channel()).list_products(request).await.map(drop)
    }

    /// Doesn't use the channel, which would reconnect when it is refused.
    async fn connect_and_read(&self) -> Result<(), Status> {
        let refused = |error: std::io::Error| Status::unavailable(format!("no connection: {error}"));
        let connection = Connection::open(Ipv4Addr::LOCALHOST, self.gateway).await.map_err(refused)?;
        let request = http::Request::get(format!("http://{}/v1/products", self.gateway)).body(()).unwrap();
        let answering = async { connection.opener().send(request, true).await?.0.await };
        let answer = answering.await.map_err(|error| Status::unavailable(error.to_string()))?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            status => Err(Status::unavailable(format!("answered {status}"))),
        }
    }

    async fn log_in(&self) -> Result<(), Status> {
        let request =
            LoginRequest { email: self.email.clone(), password: PASSWORD.to_owned(), ..LoginRequest::default() };
        AuthServiceClient::new(self.channel()).login(request).await.map(drop)
    }

    async fn place(&self, number: usize) -> Result<String, Status> {
        let lines = self.shop.two_lines(number);
        let line = |(product, quantity)| PlaceOrderLine { product: format!("products/{product}"), quantity };
        let request_id = format!("honest-{}-{number}", self.run);
        let request = PlaceOrderRequest { lines: lines.map(line).into(), expected_total: None, request_id };
        let session = self.shop.customer(number);
        let request = authorised(session, request);
        Ok(OrderServiceClient::new(self.channel()).place_order(request).await?.into_inner().name)
    }

    async fn watch_order(&self, number: usize) -> Result<(), Status> {
        let customer = number % self.orders.len();
        let request = WatchOrderRequest { name: self.orders[customer].clone(), ..WatchOrderRequest::default() };
        let request = authorised(self.shop.customer(customer), request);
        let mut states = OrderServiceClient::new(self.channel()).watch_order(request).await?.into_inner();
        states.message().await.map(drop)
    }

    async fn watch_price(&self, number: usize) -> Result<(), Status> {
        let [(product, _), _] = self.shop.two_lines(number);
        let filter = format!("name = \"products/{product}\"");
        let request = WatchPricesRequest { filter, ..WatchPricesRequest::default() };
        let mut prices = CatalogServiceClient::new(self.channel()).watch_prices(request).await?.into_inner();
        prices.message().await.map(drop)
    }

    async fn change(&self, number: usize) -> Result<(), Status> {
        let [(product, _), _] = self.shop.two_lines(number);
        let display_name = format!("Name no. {number}");
        let product = Product { name: format!("products/{product}"), display_name, ..Product::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["display_name".to_owned()] });
        let request = authorised(&self.operator, UpdateProductRequest { product: Some(product), update_mask });
        CatalogServiceClient::new(self.channel()).update_product(request).await.map(drop)
    }
}

fn authorised<Q>(session: &Session, message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", session.authorization());
    request
}

fn told(status: &Status) -> String {
    format!("{:?} {}: {}", status.code(), Details::of(status).reason.unwrap_or_default(), status.message())
}
