//! `flotilla.inventory.v1.CatalogService`.

use flotilla_proto::inventory::v1::catalog_service_server::CatalogService;
use flotilla_proto::inventory::v1::{
    BatchGetProductsRequest, BatchGetProductsResponse, CreateProductRequest, DeleteProductRequest, GetProductRequest,
    ListProductsRequest, ListProductsResponse, Product, UpdateProductRequest,
};
use flotilla_rpc::{Violations, invalid, page};
use flotilla_service::PageKey;
use tonic::{Request, Response, Status};

use super::convert;
use crate::error::Error;
use crate::storage::Catalogue;

/// Products in a page where the request doesn't say.
const PAGE: u32 = 50;
/// Most products in a page or a batch.
const MAX_PAGE: u32 = 1_000;
/// What the page tokens are bound to.
const LIST: &str = "ListProducts";

/// The catalogue over gRPC.
pub struct CatalogApi {
    catalogue: Catalogue,
    page_key: PageKey,
}

impl CatalogApi {
    /// The service over this catalogue.
    #[must_use]
    pub fn new(catalogue: Catalogue, page_key: PageKey) -> Self {
        Self { catalogue, page_key }
    }
}

#[tonic::async_trait]
impl CatalogService for CatalogApi {
    async fn create_product(&self, request: Request<CreateProductRequest>) -> Result<Response<Product>, Status> {
        let request = request.into_inner();
        let (id, details) = convert::new_product(&request.product_id, request.product)?;
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
        let tokens = self.page_key.tokens().await.map_err(Error::from)?;
        let after: Option<String> = tokens.resume(&request.page_token, LIST)?;
        // One more than asked tells whether there is a next page.
        let mut products = self.catalogue.list(after.as_deref().unwrap_or_default(), size + 1).await?;
        let next_page_token = tokens.cut(&mut products, size, LIST, |last| last.id.as_str().to_owned());
        let products = products.into_iter().map(convert::product).collect();
        Ok(Response::new(ListProductsResponse { products, next_page_token }))
    }

    async fn batch_get_products(
        &self,
        request: Request<BatchGetProductsRequest>,
    ) -> Result<Response<BatchGetProductsResponse>, Status> {
        let names = request.into_inner().names;
        if names.is_empty() || names.len() > MAX_PAGE as usize {
            return Err(invalid("names", format!("must be 1 to {MAX_PAGE} names")).into());
        }
        let mut violations = Violations::new();
        let ids: Vec<_> = names
            .iter()
            .enumerate()
            .filter_map(|(index, name)| violations.take(convert::product_id(&format!("names[{index}]"), name)))
            .collect();
        violations.finish()?;
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
}
