//! Inventory's catalogue, which answers each batch get as the test says.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use flotilla_proto::codec::StrictCodec;
use flotilla_proto::inventory::v1::{BatchGetProductsRequest, BatchGetProductsResponse};
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tower::Service;

/// The service, with its answer.
#[derive(Clone, Copy)]
pub struct Catalogue(pub fn(&Request<BatchGetProductsRequest>) -> Result<BatchGetProductsResponse, Status>);

impl UnaryService<BatchGetProductsRequest> for Catalogue {
    type Response = BatchGetProductsResponse;
    type Future = Ready<Result<Response<BatchGetProductsResponse>, Status>>;

    fn call(&mut self, request: Request<BatchGetProductsRequest>) -> Self::Future {
        ready((self.0)(&request).map(Response::new))
    }
}

impl NamedService for Catalogue {
    const NAME: &'static str = "flotilla.inventory.v1.CatalogService";
}

impl Service<http::Request<Body>> for Catalogue {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let catalogue = *self;
        Box::pin(async move { Ok(Grpc::new(StrictCodec::default()).unary(catalogue, request).await) })
    }
}
