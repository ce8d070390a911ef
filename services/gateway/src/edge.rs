//! The edge as a whole: what every request needs, and the first decisions about each.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use flotilla_rpc::{Access, AuthError, Authenticator, RpcError};
use futures::FutureExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::backend::Backends;
use crate::grpc::{self, System};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::request_id::{self, RequestIds};
use crate::response_cache::ResponseCache;
use crate::rest;
use crate::routes::RouteTable;

/// When a refused client should come back.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A place among the requests in flight, given back when dropped.
pub type Place = OwnedSemaphorePermit;

/// Limits of single requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body or message, in bytes.
    pub max_body: usize,
    /// Deadline of a request that brings none, and the longest that one may ask for.
    pub deadline: Duration,
    /// Pause after which an idle event stream gets a comment.
    pub heartbeat: Duration,
}

/// Everything that answering needs.
#[derive(Debug)]
pub struct Edge {
    /// The public methods.
    pub routes: RouteTable,
    /// The services.
    pub backends: Backends,
    /// Checks tokens.
    pub authenticator: Authenticator,
    /// Kept responses.
    pub cache: ResponseCache,
    /// Health and reflection.
    pub system: System,
    /// Counters.
    pub metrics: Metrics,
    /// Limits of single requests.
    pub limits: Limits,
    /// Request ids.
    pub ids: RequestIds,
    /// Places of unary requests.
    pub calls: Arc<Semaphore>,
    /// Places of streams.
    pub streams: Arc<Semaphore>,
    /// Cancelled when streams have to end.
    pub draining: CancellationToken,
}

impl Edge {
    /// Answers a request; never fails and survives a panic.
    pub async fn handle(self: Arc<Self>, mut request: Request<Incoming>) -> Response<Body> {
        let id = self.ids.settle(request.headers_mut());
        let is_grpc = grpc::is_grpc(request.headers());
        let answering = async {
            if is_grpc { grpc::handle(&self, request, &id).await } else { rest::handle(&self, request, &id).await }
        };
        let mut response = match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                self.metrics.panics.inc();
                tracing::error!(request_id = id.to_str().unwrap_or_default(), "panic while answering");
                let status = Status::from(RpcError::internal());
                if is_grpc {
                    status.into_http()
                } else {
                    Problem::from(status).into_response(id.to_str().unwrap_or_default())
                }
            }
        };
        response.headers_mut().insert(request_id::HEADER, id);
        response
    }

    /// Whether the bearer of the headers' token may call a method. A public method asks for no token and takes no
    /// offence at a bad one, as in the services: one who signs in again may still carry the old one.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` or `PERMISSION_DENIED`.
    pub async fn admit(&self, access: Access, headers: &HeaderMap) -> Result<(), RpcError> {
        if access == Access::Public {
            return Ok(());
        }
        let caller = self.authenticator.verify(bearer(headers).ok_or(AuthError::Missing)?).await?;
        if access == Access::Operator && !caller.is_operator() {
            let text = "only operators may call this method";
            return Err(RpcError::new(Code::PermissionDenied, "OPERATOR_REQUIRED", text));
        }
        Ok(())
    }

    /// A place for a request.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when all are taken.
    pub fn place(&self, streaming: bool) -> Result<Place, RpcError> {
        let places = if streaming { &self.streams } else { &self.calls };
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            self.metrics.shed.inc();
            RpcError::new(Code::ResourceExhausted, "OVERLOADED", "the gateway is busy").retry_after(RETRY_AFTER)
        })
    }
}

/// The token in `authorization: Bearer ...`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        for (value, token) in
            [("Bearer abc", Some("abc")), ("bearer  abc", Some("abc")), ("Basic abc", None), ("Bearer", None)]
        {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer(&headers), token, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
