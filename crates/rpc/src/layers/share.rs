//! Shares: how many calls and streams one user may have in flight, wherever they come from. Beyond it `TOO_MANY_CALLS`;
//! what the server takes in all is for many users. The refusal comes after a moment, so that a user who repeats at once
//! costs little; of such calls one holds as many again.
//!
//! A call without a good token has no user: it is the edge that tells such callers apart, by their addresses.

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
use super::placed::Placed;
use crate::share::{Share as Taken, Shares};
use crate::{Caller, RpcError, ServerSettings};

/// When a refused client should come back.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Share<S> {
    inner: S,
    calls: Shares<Uuid>,
    streams: Shares<Uuid>,
    /// Refused calls that wait for a moment.
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
    type Future = Placed<S::Future, Taken<Uuid>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (stream, streaming) =
            method_of(&request).map_or((false, false), |method| (method.is_stream(), method.rule.server_streaming));
        let Some(caller) = request.extensions().get::<Caller>() else {
            return Placed::without(self.inner.call(request));
        };
        let shares = if stream { &self.streams } else { &self.calls };
        match shares.take(caller.user) {
            Some(share) => Placed::at(share, self.inner.call(request), streaming),
            None => {
                self.metrics.limited.inc();
                Placed::refused_later(too_many(stream), self.held.take(caller.user))
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
