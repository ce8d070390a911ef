//! Rate limit for a user, or for an address if there is no user. Beyond it the call gets `RATE_LIMITED` with the time
//! until the next call is allowed. Refusals of users are delayed a little, so that immediate retries cost little.
//!
//! A call with a valid token counts against its user, whatever its address; any other call counts against its address,
//! so that guessing tokens is limited too. The fleet's services, recognised by their certificates, call on behalf of
//! many users and have no limit by address here; health and reflection are never limited.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::Service;
use uuid::Uuid;

use super::method_of;
use super::metrics::RpcMetrics;
use super::slot::SlotFuture;
use crate::rate::RateLimiter;
use crate::share::{Share, Shares};
use crate::tls::PeerIdentity;
use crate::{RpcError, ServerSettings};
use flotilla_auth::Caller;

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct RateLimit<S> {
    inner: S,
    limits: Arc<Limits>,
    /// Delayed refusals of users.
    held: Shares<Uuid>,
    metrics: Arc<RpcMetrics>,
}

/// The buckets.
#[derive(Debug)]
pub(crate) struct Limits {
    users: RateLimiter<Uuid>,
    addresses: RateLimiter<IpAddr>,
}

impl<S> RateLimit<S> {
    pub fn new(inner: S, settings: &ServerSettings, metrics: Arc<RpcMetrics>) -> Self {
        let rates = &settings.rate_limit;
        let limits = Limits {
            users: RateLimiter::new(rates.user_rate(), rates.keys),
            addresses: RateLimiter::new(rates.address_rate(), rates.keys),
        };
        Self { inner, limits: Arc::new(limits), held: Shares::new(settings.held_calls_per_user()), metrics }
    }
}

impl<S> Service<Request<Body>> for RateLimit<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = SlotFuture<S::Future, Share<Uuid>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.limits.check(&request) {
            Ok(()) => SlotFuture::without(self.inner.call(request)),
            Err(error) => {
                self.metrics.limited.inc();
                let user = request.extensions().get::<Caller>().map(|caller| caller.user);
                SlotFuture::refused_later(error, user.and_then(|user| self.held.take(user)))
            }
        }
    }
}

impl Limits {
    fn check(&self, request: &Request<Body>) -> Result<(), RpcError> {
        if method_of(request).is_some_and(|method| method.system) {
            return Ok(());
        }
        let found = request.extensions();
        let (taken, subject) = if let Some(caller) = found.get::<Caller>() {
            (self.users.take(caller.user), "user")
        } else {
            let address = found.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
            let (Some(address), None) = (address, found.get::<PeerIdentity>()) else { return Ok(()) };
            (self.addresses.take(address.ip()), "address")
        };
        taken.map_err(|wait| {
            RpcError::new(Code::ResourceExhausted, "RATE_LIMITED", "too many calls; slow down")
                .quota(subject, "calls a second")
                .retry_after(wait)
        })
    }
}
