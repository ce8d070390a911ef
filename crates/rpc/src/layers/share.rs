//! Shares: how many calls and streams one user may have in flight, from all addresses together. Beyond it the call gets
//! `TOO_MANY_CALLS`: the server's total capacity is for all users. The refusal is delayed a little, so that immediate
//! retries cost little; a user may have as many delayed refusals as calls.
//!
//! A call without a valid token has no user: the edge limits such callers by their addresses.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;
use tower::Service;
use uuid::Uuid;

use super::method_of;
use super::metrics::RpcMetrics;
use super::slot::SlotFuture;
use crate::share::{Share as Taken, Shares};
use crate::{RpcError, ServerSettings};
use flotilla_auth::Caller;

/// The retry delay for a refused client.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Share<S> {
    inner: S,
    calls: Shares<Uuid>,
    streams: Shares<Uuid>,
    /// Delayed refusals.
    held: Shares<Uuid>,
    metrics: Arc<RpcMetrics>,
}

impl<S> Share<S> {
    pub fn new(inner: S, settings: &ServerSettings, metrics: Arc<RpcMetrics>) -> Self {
        let (calls, streams) = (Shares::new(settings.max_calls_per_user), Shares::new(settings.max_streams_per_user));
        let held = Shares::new(settings.held_calls_per_user());
        Self { inner, calls, streams, held, metrics }
    }
}

impl<S> Service<Request<Body>> for Share<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = SlotFuture<S::Future, Taken<Uuid>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (stream, streaming) =
            method_of(&request).map_or((false, false), |method| (method.is_stream(), method.rule.server_streaming));
        let Some(caller) = request.extensions().get::<Caller>() else {
            return SlotFuture::without(self.inner.call(request));
        };
        let shares = if stream { &self.streams } else { &self.calls };
        match shares.take(caller.user) {
            Some(share) => SlotFuture::at(share, self.inner.call(request), streaming),
            None => {
                self.metrics.limited.inc();
                SlotFuture::refused_later(too_many(stream), self.held.take(caller.user))
            }
        }
    }
}

fn too_many(stream: bool) -> RpcError {
    let what = if stream { "open streams" } else { "calls in flight" };
    RpcError::new(Code::ResourceExhausted, "TOO_MANY_CALLS", format!("this user has too many {what}"))
        .quota("user", what)
        .retry_after(RETRY_AFTER)
}
