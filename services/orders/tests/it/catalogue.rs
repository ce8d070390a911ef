//! Inventory's catalogue in memory, served to orders over gRPC.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flotilla_money::{Amount, Currency};
use flotilla_proto::inventory::v1::{
    BatchGetProductsRequest, BatchGetProductsResponse, CreateProductRequest, DeleteProductRequest, GetImportRequest,
    GetProductRequest, Import, ImportProductsRequest, ListProductsRequest, ListProductsResponse, Product,
    UpdateProductRequest, WatchPricesRequest, WatchPricesResponse,
    catalog_service_server::{CatalogService, CatalogServiceServer},
};
use flotilla_rpc::{Access, AccessRules, Server};
use flotilla_telemetry::Registry;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status, Streaming};

/// The catalogue and its server. Dropped, the server ends.
pub struct TestCatalogue {
    pub url: String,
    products: Arc<Products>,
    _server: DropGuard,
}

#[derive(Default)]
struct Products {
    products: Mutex<HashMap<String, Product>>,
    asked: AtomicUsize,
}

impl TestCatalogue {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let products = Arc::new(Products::default());
        let rules = AccessRules::new().allow("/flotilla.inventory.v1.CatalogService/BatchGetProducts", Access::Public);
        let server = Server::new(&flotilla_testkit::server_settings(), None, rules, &Registry::new())
            .add(CatalogServiceServer::from_arc(Arc::clone(&products)));
        let shutdown = CancellationToken::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { url, products, _server: shutdown.drop_guard() }
    }

    /// Adds a product.
    pub fn put(&self, id: &str, minor: i64, currency: &str) {
        let price = Amount { minor, currency: Currency::parse(currency).unwrap() }.into();
        let name = format!("products/{id}");
        let product = Product { name: name.clone(), price: Some(price), version: 1, ..Product::default() };
        self.products.products.lock().unwrap().insert(name, product);
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.products.asked.load(Ordering::Relaxed)
    }
}

#[tonic::async_trait]
impl CatalogService for Products {
    async fn batch_get_products(
        &self,
        request: Request<BatchGetProductsRequest>,
    ) -> Result<Response<BatchGetProductsResponse>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let products = self.products.lock().unwrap();
        let products = request.get_ref().names.iter().filter_map(|name| products.get(name).cloned()).collect();
        Ok(Response::new(BatchGetProductsResponse { products }))
    }

    async fn create_product(&self, _: Request<CreateProductRequest>) -> Result<Response<Product>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }

    async fn get_product(&self, _: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }

    async fn list_products(&self, _: Request<ListProductsRequest>) -> Result<Response<ListProductsResponse>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }

    async fn update_product(&self, _: Request<UpdateProductRequest>) -> Result<Response<Product>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }

    async fn delete_product(&self, _: Request<DeleteProductRequest>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }

    async fn import_products(&self, _: Request<Streaming<ImportProductsRequest>>) -> Result<Response<Import>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }

    async fn get_import(&self, _: Request<GetImportRequest>) -> Result<Response<Import>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }

    type WatchPricesStream = futures::stream::Empty<Result<WatchPricesResponse, Status>>;

    async fn watch_prices(&self, _: Request<WatchPricesRequest>) -> Result<Response<Self::WatchPricesStream>, Status> {
        Err(Status::unimplemented("not called by orders"))
    }
}
