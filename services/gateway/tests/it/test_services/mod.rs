//! Test services: they reply by the requested names, and record what came with a call.

mod catalog;
mod orders;

use std::sync::Arc;

use flotilla_proto::inventory::v1::catalog_service_server::CatalogServiceServer;
use flotilla_proto::orders::v1::order_service_server::OrderServiceServer;
use flotilla_rpc::{Access, AccessRules, Server};
use flotilla_telemetry::Registry;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Request;
use tonic::metadata::MetadataMap;

/// The test services check no tokens: the gateway does, here.
const ORDERS: &[&str] = &[
    "/flotilla.orders.v1.OrderService/PlaceOrder",
    "/flotilla.orders.v1.OrderService/GetOrder",
    "/flotilla.orders.v1.OrderService/ListOrders",
    "/flotilla.orders.v1.OrderService/CancelOrder",
    "/flotilla.orders.v1.OrderService/WatchOrder",
];
const CATALOG: &[&str] = &[
    "/flotilla.inventory.v1.CatalogService/CreateProduct",
    "/flotilla.inventory.v1.CatalogService/GetProduct",
    "/flotilla.inventory.v1.CatalogService/ListProducts",
    "/flotilla.inventory.v1.CatalogService/BatchGetProducts",
    "/flotilla.inventory.v1.CatalogService/UpdateProduct",
    "/flotilla.inventory.v1.CatalogService/DeleteProduct",
    "/flotilla.inventory.v1.CatalogService/ImportProducts",
    "/flotilla.inventory.v1.CatalogService/WatchPrices",
];

/// What the test services have seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Metadata of the last call.
    pub metadata: MetadataMap,
    /// Calls by method.
    pub calls: Vec<&'static str>,
    /// Last request, as text.
    pub request: String,
    /// Rows of imports, as text.
    pub rows: Vec<String>,
    /// Prices sent.
    pub prices: usize,
    /// Imports whose end came.
    pub imported: usize,
}

/// Running test_services. Dropped, they end.
pub struct TestServices {
    pub url: String,
    pub seen: Arc<Mutex<Seen>>,
    _server: Arc<DropGuard>,
}

/// Notes calls.
#[derive(Clone, Default)]
pub struct Notes(pub Arc<Mutex<Seen>>);

impl Notes {
    pub fn note<T: std::fmt::Debug>(&self, method: &'static str, request: &Request<T>) {
        self.begin(method, request.metadata());
        self.0.lock().request = format!("{:?}", request.get_ref());
    }
}

impl Notes {
    /// Notes a call whose request isn't there yet.
    pub fn begin(&self, method: &'static str, metadata: &MetadataMap) {
        let mut seen = self.0.lock();
        seen.metadata = metadata.clone();
        seen.calls.push(method);
    }
}

impl TestServices {
    pub async fn start() -> Self {
        let notes = Notes::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let methods = [ORDERS, CATALOG].concat();
        let rules = methods.into_iter().fold(AccessRules::new(), |rules, method| rules.allow(method, Access::Public));
        let server = Server::new(&flotilla_testkit::server_settings(), None, rules, &Registry::new())
            .add(OrderServiceServer::new(orders::Orders(notes.clone())))
            .add(CatalogServiceServer::new(catalog::Catalog::new(notes.clone())));
        // Not drained: a test that ends takes its test services along.
        let end = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                served = server.serve(listener, end.clone()) => served.unwrap(),
            }
        });
        Self { url, seen: notes.0, _server: Arc::new(shutdown.drop_guard()) }
    }

    /// The same services. They end with the last of their owners.
    pub fn shared(&self) -> Self {
        Self { url: self.url.clone(), seen: Arc::clone(&self.seen), _server: Arc::clone(&self._server) }
    }

    pub fn calls(&self, method: &str) -> usize {
        self.seen.lock().calls.iter().filter(|called| **called == method).count()
    }

    pub fn metadata(&self, name: &str) -> Option<String> {
        self.seen.lock().metadata.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    pub fn request(&self) -> String {
        self.seen.lock().request.clone()
    }
}
