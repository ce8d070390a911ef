//! A catalogue that has every requested product; its display name can be changed. The name of `large` has 100 KiB.

use std::collections::HashMap;
use std::pin::Pin;

use flotilla_proto::inventory::v1::catalog_service_server::CatalogService;
use flotilla_proto::inventory::v1::{
    BatchGetProductsRequest, BatchGetProductsResponse, CreateProductRequest, DeleteProductRequest, GetImportRequest,
    GetProductRequest, Import, ImportProductsRequest, ListProductsRequest, ListProductsResponse, Product,
    UpdateProductRequest, WatchPricesRequest, WatchPricesResponse,
};
use futures::{Stream, stream};
use parking_lot::Mutex;
use tonic::{Request, Response, Status};

use super::Notes;

pub struct Catalog {
    notes: Notes,
    names: Mutex<HashMap<String, String>>,
}

impl Catalog {
    pub fn new(notes: Notes) -> Self {
        Self { notes, names: Mutex::default() }
    }

    fn product(&self, name: &str) -> Product {
        let first = || if name == "products/large" { "x".repeat(100 * 1024) } else { "before".to_owned() };
        let display_name = self.names.lock().get(name).cloned().unwrap_or_else(first);
        Product { name: name.to_owned(), display_name, etag: "\"7\"".to_owned(), ..Product::default() }
    }
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn create_product(&self, request: Request<CreateProductRequest>) -> Result<Response<Product>, Status> {
        self.notes.note("CreateProduct", &request);
        let request = request.into_inner();
        if request.product_id == "slow" {
            std::future::pending::<()>().await;
        }
        let name = format!("products/{}", request.product_id);
        Ok(Response::new(Product { name, ..request.product.unwrap_or_default() }))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        self.notes.note("GetProduct", &request);
        Ok(Response::new(self.product(&request.into_inner().name)))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        self.notes.note("ListProducts", &request);
        Ok(Response::new(ListProductsResponse::default()))
    }

    async fn batch_get_products(
        &self,
        request: Request<BatchGetProductsRequest>,
    ) -> Result<Response<BatchGetProductsResponse>, Status> {
        self.notes.note("BatchGetProducts", &request);
        let products = request.into_inner().names.iter().map(|name| self.product(name)).collect();
        Ok(Response::new(BatchGetProductsResponse { products }))
    }

    async fn update_product(&self, request: Request<UpdateProductRequest>) -> Result<Response<Product>, Status> {
        self.notes.note("UpdateProduct", &request);
        let product = request.into_inner().product.unwrap_or_default();
        self.names.lock().insert(product.name.clone(), product.display_name);
        Ok(Response::new(self.product(&product.name)))
    }

    async fn import_products(
        &self,
        request: Request<tonic::Streaming<ImportProductsRequest>>,
    ) -> Result<Response<Import>, Status> {
        self.notes.begin("ImportProducts", request.metadata());
        let (mut rows, mut import) = (request.into_inner(), Import::default());
        while let Some(row) = rows.message().await? {
            self.notes.0.lock().rows.push(format!("{row:?}"));
            import.name = format!("imports/{}", row.import_id);
            import.received += 1;
        }
        self.notes.0.lock().imported += 1;
        Ok(Response::new(import))
    }

    async fn get_import(&self, _: Request<GetImportRequest>) -> Result<Response<Import>, Status> {
        Err(Status::unimplemented("not in the test service"))
    }

    type WatchPricesStream = Pin<Box<dyn Stream<Item = Result<WatchPricesResponse, Status>> + Send>>;

    /// Sends nothing, or with the filter `flood` prices without end.
    async fn watch_prices(
        &self,
        request: Request<WatchPricesRequest>,
    ) -> Result<Response<Self::WatchPricesStream>, Status> {
        if request.get_ref().filter != "flood" {
            return Ok(Response::new(Box::pin(stream::pending())));
        }
        let notes = self.notes.clone();
        let price = move || {
            notes.0.lock().prices += 1;
            Ok(WatchPricesResponse { resume_token: "x".repeat(1000), ..WatchPricesResponse::default() })
        };
        Ok(Response::new(Box::pin(stream::repeat_with(price))))
    }

    async fn delete_product(&self, request: Request<DeleteProductRequest>) -> Result<Response<()>, Status> {
        self.notes.note("DeleteProduct", &request);
        Ok(Response::new(()))
    }
}
