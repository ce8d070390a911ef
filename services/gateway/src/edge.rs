//! The edge as a whole: what every request needs, and the first decisions about each.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use flotilla_auth::bearer;
use flotilla_auth::{AuthError, Authenticator};
use flotilla_proto::policy::{Access, Idempotency};
use flotilla_rpc::{RateLimiter, RpcError};
use futures::FutureExt as _;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::admission::{Admission, RequestMemory};
use crate::backend::Backends;
use crate::client_address::{ClientAddress, TrustedProxies};
use crate::connect;
use crate::cors::Cors;
use crate::grpc::{self, Call, System};
use crate::grpc_web;
use crate::message::throw_away;
use crate::metrics::Metrics;
use crate::protocol::{Protocol, Target};
use crate::request_id::{self, RequestIds};
use crate::response_cache::ResponseCache;
use crate::rest;
use crate::routes::RouteTable;
use crate::server::network;
use crate::site::Site;

/// Limits of single requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body or message, in bytes.
    pub max_body: usize,
    /// Deadline of a request that brings none, and the longest that one may ask for.
    pub deadline: Duration,
    /// Pause after which an idle event stream gets a comment.
    pub heartbeat: Duration,
    /// Receive window of a stream, in bytes.
    pub stream_window: usize,
    /// Whether errors of the edge's own come without details.
    pub bare_errors: bool,
}

impl Limits {
    /// An error of the edge's own, as clients are told it.
    pub fn told(&self, status: Status) -> Status {
        if self.bare_errors { Status::new(status.code(), status.message()) } else { status }
    }
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
    /// Which pages of other origins may call.
    pub cors: Cors,
    /// The API's description and the page that shows it.
    pub site: Site,
    /// Request ids.
    pub ids: RequestIds,
    /// The proxies whose `x-forwarded-for` is trusted.
    pub proxies: TrustedProxies,
    /// How often one address may call.
    pub addresses: Arc<RateLimiter<IpAddr>>,
    /// How many calls one address may cancel.
    pub resets: Arc<RateLimiter<IpAddr>>,
    /// Decides which requests are accepted.
    pub admission: Arc<Admission>,
    /// Cancelled when streams have to end.
    pub draining: CancellationToken,
}

impl Edge {
    /// Answers a request; never fails and survives a panic.
    pub async fn handle(self: Arc<Self>, mut request: Request<Incoming>) -> Response<Body> {
        if let Some(leave) = self.cors.preflight(request.method(), request.headers()) {
            return leave;
        }
        let id = self.ids.settle(request.headers_mut());
        let origin = request.headers().get(http::header::ORIGIN).cloned();
        let protocol = self.protocol(&request);
        let admitted = self.admit_request(&mut request);
        let memory = request.extensions().get::<RequestMemory>().cloned();
        let answering = async {
            match admitted {
                Ok(()) => {
                    let address = address(request.extensions());
                    self.admission.begin(address, || self.answer(protocol, request, &id)).await
                }
                Err(error) => protocol.error(error.into(), id.to_str().unwrap_or_default()),
            }
        };
        let mut response = match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                self.metrics.panics.inc();
                tracing::error!(request_id = id.to_str().unwrap_or_default(), "panic while answering");
                protocol.error(RpcError::internal().into(), id.to_str().unwrap_or_default())
            }
        };
        response.headers_mut().insert(request_id::HEADER, id);
        self.cors.allow(origin.as_ref(), response.headers_mut());
        if let Some(memory) = memory {
            response.extensions_mut().insert(memory);
        }
        response
    }

    /// Checks the limits of a request, cheapest first.
    fn admit_request(&self, request: &mut Request<Incoming>) -> Result<(), RpcError> {
        let address = address(request.extensions());
        if let Some(address) = address {
            let within = self.resets.check(&address, 1).and_then(|()| self.addresses.take(address));
            within.map_err(|wait| self.admission.refusals.too_often(wait))?;
        }
        let memory = self.admission.memory.request(address, request.headers())?;
        request.extensions_mut().insert(memory);
        Ok(())
    }

    fn protocol<B>(&self, request: &Request<B>) -> Protocol {
        let target = self.routes.method(request.uri().path()).map(|method| Target {
            streaming: method.client_streaming || method.server_streaming,
            reads: method.idempotency == Idempotency::NoSideEffects,
        });
        Protocol::of(request.method(), request.headers(), target)
    }

    async fn answer(
        self: &Arc<Self>,
        protocol: Protocol,
        request: Request<Incoming>,
        id: &HeaderValue,
    ) -> Response<Body> {
        let found = match protocol {
            Protocol::Grpc(codec) => return grpc::handle(self, request, id, codec).await,
            Protocol::GrpcWeb { codec, text } => return grpc_web::handle(self, request, id, codec, text).await,
            Protocol::Rest => return rest::handle(self, request, id).await,
            Protocol::Unspoken(_) | Protocol::ConnectUnary(_) | Protocol::ConnectGet | Protocol::ConnectStream(_) => {
                self.routes.method(request.uri().path())
            }
        };
        // Only methods are spoken to so.
        let Some(method) = found else { return rest::handle(self, request, id).await };
        let verb = if request.method() == Method::GET { "GET" } else { "POST" };
        let call = Call { edge: self, method, protocol: "connect", verb, id };
        match protocol {
            Protocol::ConnectUnary(codec) => connect::post(&call, request, codec).await,
            Protocol::ConnectStream(codec) => connect::stream(&call, request, codec).await,
            Protocol::ConnectGet => connect::get(&call, request).await,
            Protocol::Unspoken(why) => {
                let response = why.into_response(id.to_str().unwrap_or_default());
                self.metrics.begin_aside("other", &method.name, verb).end(response.status().as_str());
                let (parts, body) = request.into_parts();
                throw_away(parts.version, &parts.headers, body).await;
                response
            }
            Protocol::Grpc(_) | Protocol::GrpcWeb { .. } | Protocol::Rest => rest::handle(self, request, id).await,
        }
    }

    /// Checks whether the token in the headers may call a method, and returns its user. A public method needs no token
    /// and ignores an invalid one, as in the services: a client that signs in again may still send the old one.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` or `PERMISSION_DENIED`.
    pub async fn admit(&self, access: Access, headers: &HeaderMap) -> Result<Option<Uuid>, RpcError> {
        if access == Access::Public {
            return Ok(None);
        }
        let caller = self.authenticator.verify(bearer(headers).ok_or(AuthError::Missing)?).await?;
        flotilla_telemetry::caller_is(&caller.user);
        if access == Access::Operator && !caller.is_operator() {
            let text = "only operators may call this method";
            return Err(RpcError::new(Code::PermissionDenied, "OPERATOR_REQUIRED", text));
        }
        if access == Access::Peer {
            let text = "only services of the fleet may call this method";
            return Err(RpcError::new(Code::PermissionDenied, "PEER_NOT_ALLOWED", text));
        }
        Ok(Some(caller.user))
    }
}

/// The client's network, as used by the limits.
pub fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().map(|ClientAddress(address)| network(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a request may take before there is known to be room for it, in bytes: one connection may open a hundred at once.
    const UNADMITTED: usize = 2048;

    fn size_of_future<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_request_is_small_until_it_is_admitted() {
        let size = size_of_future(Edge::handle);
        assert!(size <= UNADMITTED, "{size}");
    }
}
