//! A panic in a handler becomes `INTERNAL`; the process and all other calls live on.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::Service;

use super::metrics::RpcMetrics;
use super::refuse;
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
        Caught { inner: self.inner.call(request), metrics: Arc::clone(&self.metrics) }
    }
}

pin_project! {
    /// The call as it runs, its panics caught.
    pub(crate) struct Caught<F> {
        #[pin]
        inner: F,
        metrics: Arc<RpcMetrics>,
    }
}

impl<F> Future for Caught<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The future isn't polled again after a panic, so that broken state in it is never seen.
        let inner = AssertUnwindSafe(|| this.inner.poll(cx));
        catch_unwind(inner).unwrap_or_else(|payload| {
            this.metrics.panics.inc();
            tracing::error!(panic = message(&*payload), "handler panicked");
            Poll::Ready(Ok(refuse(RpcError::internal())))
        })
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
