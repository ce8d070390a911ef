//! The edge as a whole: what every request needs, and the first decisions about each.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::policy::{Access, Idempotency};
use flotilla_rpc::auth::bearer;
use flotilla_rpc::{AuthError, Authenticator, RateLimiter, RpcError};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};

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
use crate::server::{PeerAddress, network};
use crate::site::Site;

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
    /// The proxies that are believed where a request comes from.
    pub proxies: TrustedProxies,
    /// How often one address may ask; `None`: as often as it likes.
    pub addresses: RateLimiter<IpAddr>,
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
        if let Some(leave) = self.cors.preflight(request.method(), request.headers()) {
            return leave;
        }
        let id = self.ids.settle(request.headers_mut());
        if let Some(PeerAddress(peer)) = request.extensions().get().copied() {
            let client = self.proxies.client(peer, request.headers());
            request.extensions_mut().insert(client);
        }
        let origin = request.headers().get(http::header::ORIGIN).cloned();
        let protocol = self.protocol(&request);
        let answering = self.answer(protocol, request, &id);
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
        response
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
        if let Err(error) = self.admit_address(&request) {
            return protocol.error(error.into(), id.to_str().unwrap_or_default());
        }
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
        flotilla_telemetry::caller_is(&caller.user);
        if access == Access::Operator && !caller.is_operator() {
            let text = "only operators may call this method";
            return Err(RpcError::new(Code::PermissionDenied, "OPERATOR_REQUIRED", text));
        }
        if access == Access::Peer {
            let text = "only services of the fleet may call this method";
            return Err(RpcError::new(Code::PermissionDenied, "PEER_NOT_ALLOWED", text));
        }
        Ok(())
    }

    /// Whether the request's address may ask once more. The services limit users alone.
    fn admit_address<B>(&self, request: &Request<B>) -> Result<(), RpcError> {
        let Some(ClientAddress(address)) = request.extensions().get() else { return Ok(()) };
        self.addresses.take(network(*address)).map_err(|wait| {
            self.metrics.limited.inc();
            RpcError::new(Code::ResourceExhausted, "RATE_LIMITED", "too many calls; slow down")
                .quota("address", "calls a second")
                .retry_after(wait)
        })
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
