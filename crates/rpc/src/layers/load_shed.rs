//! Refuses calls beyond what may be in flight, at once and with a hint when to retry. Nothing is half done.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::metrics::RpcMetrics;
use super::{method_of, refuse};
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
    type Future = Admitted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (system, stream, streaming) = method_of(&request)
            .map_or((false, false, false), |method| (method.system, method.is_stream(), method.rule.server_streaming));
        if system {
            return Admitted::Called { inner: self.inner.call(request), place: None, streaming: false };
        }
        let places = if stream { &self.streams } else { &self.calls };
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => Admitted::Called { inner: self.inner.call(request), place: Some(place), streaming },
            Err(_) => {
                self.metrics.shed.inc();
                Admitted::Refused
            }
        }
    }
}

pin_project! {
    /// A call that has a place, or was refused.
    #[project = AdmittedProjection]
    pub(crate) enum Admitted<F> {
        Called {
            #[pin]
            inner: F,
            place: Option<OwnedSemaphorePermit>,
            streaming: bool,
        },
        Refused,
    }
}

impl<F> Future for Admitted<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AdmittedProjection::Called { inner, place, streaming } => {
                let Ok(response) = ready!(inner.poll(cx));
                let place = place.take();
                if !*streaming || http_body::Body::is_end_stream(response.body()) {
                    return Poll::Ready(Ok(response));
                }
                // A stream keeps its place until it ends.
                Poll::Ready(Ok(response.map(|inner| Body::new(Placed { inner, _place: place }))))
            }
            AdmittedProjection::Refused => Poll::Ready(Ok(refuse(
                RpcError::new(Code::ResourceExhausted, "OVERLOADED", "the server is busy").retry_after(RETRY_AFTER),
            ))),
        }
    }
}

pin_project! {
    /// A body that holds a place.
    struct Placed {
        #[pin]
        inner: Body,
        _place: Option<OwnedSemaphorePermit>,
    }
}

impl http_body::Body for Placed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
