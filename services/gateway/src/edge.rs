//! The state that all requests share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_auth::{AuthError, Authenticator, bearer};
use flotilla_proto::policy::Access;
use flotilla_rpc::{RateLimiter, RpcError};
use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::admission::Admission;
use crate::backend::Backends;
use crate::client_address::TrustedProxies;
use crate::cors::Cors;
use crate::metrics::Metrics;
use crate::request_id::RequestIds;
use crate::response_cache::ResponseCache;
use crate::routes::RouteTable;
use crate::site::Site;
use crate::system::System;

/// Limits of single requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body or message, in bytes.
    pub max_body: usize,
    /// Default deadline of a request, and the maximum that one may ask for.
    pub deadline: Duration,
    /// Idle time after which an event stream gets a comment.
    pub heartbeat: Duration,
    /// Receive window of a stream, in bytes.
    pub stream_window: usize,
    /// Whether the gateway's own errors omit details.
    pub bare_errors: bool,
}

impl Limits {
    /// An error of the gateway's own, as clients get it.
    pub fn client_status(&self, status: Status) -> Status {
        if self.bare_errors { Status::new(status.code(), status.message()) } else { status }
    }
}

/// The shared state.
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
    /// Which origins' pages may call.
    pub cors: Cors,
    /// The OpenAPI document and the page that shows it.
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
    /// Cancelled when streams must end.
    pub draining: CancellationToken,
}

impl Edge {
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
