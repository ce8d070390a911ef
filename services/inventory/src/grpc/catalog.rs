//! `flotilla.inventory.v1.CatalogService`.

use std::sync::Arc;
use std::time::Duration;

use flotilla_listing::page;
use flotilla_listing::{Field, Schema};
use flotilla_proto::inventory::v1::catalog_service_server::CatalogService;
use flotilla_proto::inventory::v1::{
    BatchGetProductsRequest, BatchGetProductsResponse, CreateProductRequest, DeleteProductRequest, GetImportRequest,
    GetProductRequest, Import, ImportProductsRequest, ListProductsRequest, ListProductsResponse, Product,
    UpdateProductRequest, WatchPricesRequest, WatchPricesResponse,
};
use flotilla_rpc::{caller, invalid};
use flotilla_service::PageKey;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::prices::{self, Reader};
use super::{ImportApi, convert};
use crate::error::Error;
use crate::prices::PriceLog;
use crate::storage::Catalogue;

/// Default page size.
const PAGE: u32 = 50;
/// Maximum page size.
const MAX_PAGE: u32 = 1_000;
/// Maximum wait until a process that has just started has loaded the prices.
const LOADING: Duration = Duration::from_secs(5);

/// The fields that `ListProducts` filters and sorts by.
static SCHEMA: Schema = Schema {
    key: Field::name("name", "id", "products").sortable(),
    fields: &[
        Field::text("display_name", "display_name").sortable(),
        Field::money("price", "price_minor", "currency").sortable(),
        Field::text("currency_code", "currency"),
        Field::timestamp("create_time", "created_at").sortable(),
        Field::timestamp("update_time", "updated_at"),
    ],
    order: "name",
};

/// The catalogue over gRPC.
pub struct CatalogApi {
    catalogue: Catalogue,
    page_key: PageKey,
    log: Arc<PriceLog>,
    imports: ImportApi,
}

impl CatalogApi {
    /// Creates the service with this catalogue, its prices and its imports.
    #[must_use]
    pub fn new(catalogue: Catalogue, page_key: PageKey, log: Arc<PriceLog>, imports: ImportApi) -> Self {
        Self { catalogue, page_key, log, imports }
    }
}

#[tonic::async_trait]
impl CatalogService for CatalogApi {
    async fn create_product(&self, request: Request<CreateProductRequest>) -> Result<Response<Product>, Status> {
        let request = request.into_inner();
        let wanted = request.product.ok_or_else(|| invalid("product", "must be set"))?;
        let (id, details) = convert::new_product(&request.product_id, wanted)?;
        let product = self.catalogue.create(&id, &details).await?;
        Ok(Response::new(convert::product(product)))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        let id = convert::product_id("name", &request.get_ref().name)?;
        Ok(Response::new(convert::product(self.catalogue.get(&id).await?)))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size, PAGE, MAX_PAGE)?;
        let listing = SCHEMA.parse(&request.filter, &request.order_by)?;
        let tokens = self.page_key.tokens().await.map_err(Error::from)?;
        let page = listing.page(tokens, &["ListProducts"], &request.page_token, size)?;
        let (products, next_page_token) = self.catalogue.list(&page).await?;
        let products = products.into_iter().map(convert::product).collect();
        Ok(Response::new(ListProductsResponse { products, next_page_token }))
    }

    async fn batch_get_products(
        &self,
        request: Request<BatchGetProductsRequest>,
    ) -> Result<Response<BatchGetProductsResponse>, Status> {
        let names = request.into_inner().names;
        let ids = names.iter().map(|name| convert::product_id("names", name)).collect::<Result<Vec<_>, _>>()?;
        let products = self.catalogue.get_all(&ids).await?.into_iter().map(convert::product).collect();
        Ok(Response::new(BatchGetProductsResponse { products }))
    }

    async fn update_product(&self, request: Request<UpdateProductRequest>) -> Result<Response<Product>, Status> {
        let request = request.into_inner();
        let wanted = request.product.ok_or_else(|| invalid("product", "must be set"))?;
        let id = convert::product_id("product.name", &wanted.name)?;
        let etag = wanted.etag.clone();
        let patch = convert::patch(wanted, request.update_mask.as_ref())?;
        let product = self.catalogue.update(&id, &etag, &patch).await?;
        Ok(Response::new(convert::product(product)))
    }

    async fn delete_product(&self, request: Request<DeleteProductRequest>) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let id = convert::product_id("name", &request.name)?;
        self.catalogue.delete(&id, &request.etag).await?;
        Ok(Response::new(()))
    }

    async fn import_products(
        &self,
        request: Request<Streaming<ImportProductsRequest>>,
    ) -> Result<Response<Import>, Status> {
        let by = caller(&request)?.user;
        self.imports.import(by, request.into_inner()).await.map(Response::new)
    }

    async fn get_import(&self, request: Request<GetImportRequest>) -> Result<Response<Import>, Status> {
        self.imports.get(&request.get_ref().name).await.map(Response::new)
    }

    type WatchPricesStream = BoxStream<'static, Result<WatchPricesResponse, Status>>;

    async fn watch_prices(
        &self,
        request: Request<WatchPricesRequest>,
    ) -> Result<Response<Self::WatchPricesStream>, Status> {
        let WatchPricesRequest { filter, resume_token } = request.into_inner();
        let asked = prices::SCHEMA.filter(&filter)?;
        let tokens = self.page_key.tokens().await.map_err(Error::from)?.clone();
        let query = page::fingerprint(&["WatchPrices", &filter]);
        let seen = tokens
            .resume(&resume_token, &query)
            .map_err(|_| invalid("resume_token", "is not a token of this method and filter"))?;
        tokio::time::timeout(LOADING, self.log.loaded()).await.map_err(|_| Error::PricesLoading)?;
        let reader = Reader::new(Arc::clone(&self.log), asked, tokens, query, seen);
        Ok(Response::new(reader.into_stream().boxed()))
    }
}
