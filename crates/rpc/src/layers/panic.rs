//! A panic in a handler, also in the middle of its stream, becomes `INTERNAL`; the process and all other calls
//! continue.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::SizeHint;
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::ending::{Ending, Polled};
use super::metrics::RpcMetrics;
use super::{method_of, refuse};
use crate::RpcError;

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct CatchPanic<S> {
    inner: S,
    metrics: Arc<RpcMetrics>,
}

impl<S> CatchPanic<S> {
    pub fn new(inner: S, metrics: Arc<RpcMetrics>) -> Self {
        Self { inner, metrics }
    }
}

impl<S> Service<Request<Body>> for CatchPanic<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Caught<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let streaming = method_of(&request).is_some_and(|method| method.rule.server_streaming);
        Caught { inner: self.inner.call(request), metrics: Arc::clone(&self.metrics), streaming }
    }
}

pin_project! {
    /// The running call, with panics caught.
    pub(crate) struct Caught<F> {
        #[pin]
        inner: F,
        metrics: Arc<RpcMetrics>,
        streaming: bool,
    }
}

impl<F> Future for Caught<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The future isn't polled again after a panic, so its broken state is never observed.
        let inner = AssertUnwindSafe(|| this.inner.poll(cx));
        match catch_unwind(inner) {
            Ok(Poll::Ready(Ok(response))) if *this.streaming => {
                let body = |inner| CaughtBody { inner: Ending::new(inner), metrics: Arc::clone(this.metrics) };
                Poll::Ready(Ok(response.map(|inner| Body::new(body(inner)))))
            }
            Ok(polled) => polled,
            Err(payload) => {
                note(this.metrics, &*payload);
                Poll::Ready(Ok(refuse(RpcError::internal())))
            }
        }
    }
}

/// A running stream, with panics caught.
struct CaughtBody {
    inner: Ending,
    metrics: Arc<RpcMetrics>,
}

impl http_body::Body for CaughtBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        match catch_unwind(AssertUnwindSafe(|| this.inner.poll(cx))) {
            Ok(polled) => polled,
            Err(payload) => {
                note(&this.metrics, &*payload);
                this.inner.end(RpcError::internal())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn note(metrics: &RpcMetrics, payload: &(dyn Any + Send)) {
    metrics.panics.inc();
    tracing::error!(panic = message(payload), "handler panicked");
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
