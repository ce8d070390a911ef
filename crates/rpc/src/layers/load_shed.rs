//! Refuses calls beyond what may be in flight, at once and with a hint when to retry. Nothing is half done.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Code;
use tonic::body::Body;
use tower::Service;

use super::method_of;
use super::metrics::RpcMetrics;
use super::placed::Placed;
use crate::RpcError;

/// When a refused client should come back.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct LoadShed<S> {
    inner: S,
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    metrics: Arc<RpcMetrics>,
}

impl<S> LoadShed<S> {
    pub fn new(inner: S, calls: usize, streams: usize, metrics: Arc<RpcMetrics>) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { inner, calls: places(calls), streams: places(streams), metrics }
    }
}

impl<S> Service<Request<Body>> for LoadShed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Placed<S::Future, OwnedSemaphorePermit>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (system, stream, streaming) = method_of(&request)
            .map_or((false, false, false), |method| (method.system, method.is_stream(), method.rule.server_streaming));
        if system {
            return Placed::without(self.inner.call(request));
        }
        let places = if stream { &self.streams } else { &self.calls };
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => Placed::at(place, self.inner.call(request), streaming),
            Err(_) => {
                self.metrics.shed.inc();
                Placed::refused(busy())
            }
        }
    }
}

fn busy() -> RpcError {
    RpcError::new(Code::ResourceExhausted, "OVERLOADED", "the server is busy").retry_after(RETRY_AFTER)
}
