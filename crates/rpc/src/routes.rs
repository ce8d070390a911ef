//! Finds the service of a request. A plain map: the method path is fixed, so no pattern needs matching.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use crate::RpcError;

type Call = dyn Fn(Request<Body>) -> BoxFuture<'static, Result<Response<Body>, Infallible>> + Send + Sync;

/// A generated gRPC service.
pub trait GrpcService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Services by their names.
#[derive(Clone, Default)]
pub(crate) struct Routes(HashMap<&'static str, Arc<Call>>);

impl Routes {
    /// Adds a service.
    pub fn add<S: GrpcService>(&mut self, service: S) {
        // Generated services are always ready; each call gets a clone, which only increments a reference count.
        let call = move |request| -> BoxFuture<'static, _> { Box::pin(service.clone().call(request)) };
        self.0.insert(S::NAME, Arc::new(call));
    }

    /// The services as one, shared by all connections.
    pub fn build(self) -> Router {
        Router(Arc::new(self.0))
    }
}

/// Calls the service that a request names.
#[derive(Clone)]
pub(crate) struct Router(Arc<HashMap<&'static str, Arc<Call>>>);

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
        match service.and_then(|(service, _)| self.0.get(service)) {
            Some(call) => call(request),
            None => Box::pin(async { Ok(Status::from(unknown()).into_http()) }),
        }
    }
}

fn unknown() -> RpcError {
    RpcError::new(Code::Unimplemented, "UNKNOWN_SERVICE", "this server has no such service")
}
