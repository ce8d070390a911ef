//! A call that holds a slot until it ends: with its response, or with the last frame of a stream.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use super::refuse;
use crate::RpcError;

/// How long the refusal is delayed for a caller that makes too many calls.
const REFUSAL_DELAY: Duration = Duration::from_millis(250);

pin_project! {
    /// The running call, or the refusal.
    #[project = SlotFutureProjection]
    pub(crate) enum SlotFuture<F, P> {
        Called {
            #[pin]
            inner: F,
            place: Option<P>,
            streaming: bool,
        },
        Refused {
            response: Option<Response<Body>>,
            delay: Option<Pin<Box<Sleep>>>,
            held: Option<P>,
        },
    }
}

impl<F, P> SlotFuture<F, P> {
    /// A call that needs no slot.
    pub fn without(inner: F) -> Self {
        Self::Called { inner, place: None, streaming: false }
    }

    /// A call with a slot. `streaming`: its response is a stream.
    pub fn at(place: P, inner: F, streaming: bool) -> Self {
        Self::Called { inner, place: Some(place), streaming }
    }

    /// A call that is refused at once.
    pub fn refused(error: RpcError) -> Self {
        Self::Refused { response: Some(refuse(error)), delay: None, held: None }
    }

    /// A call that is refused because its caller makes too many. The refusal is delayed if one of the caller's slots
    /// for delayed refusals is free, so that immediate retries don't cost more than the calls themselves.
    pub fn refused_later(error: RpcError, held: Option<P>) -> Self {
        let delay = held.as_ref().map(|_| Box::pin(sleep(REFUSAL_DELAY)));
        Self::Refused { response: Some(refuse(error)), delay, held }
    }
}

impl<F, P> Future for SlotFuture<F, P>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
    P: Send + 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            SlotFutureProjection::Called { inner, place, streaming } => {
                let Ok(response) = ready!(inner.poll(cx));
                let place = place.take();
                if !*streaming || http_body::Body::is_end_stream(response.body()) {
                    return Poll::Ready(Ok(response));
                }
                // A stream keeps its slot until it ends.
                Poll::Ready(Ok(response.map(|inner| Body::new(SlotBody { inner, _place: place }))))
            }
            SlotFutureProjection::Refused { response, delay, held } => {
                if let Some(delay) = delay {
                    ready!(delay.as_mut().poll(cx));
                }
                held.take();
                Poll::Ready(Ok(response.take().unwrap_or_default()))
            }
        }
    }
}

pin_project! {
    /// A body that holds a slot.
    struct SlotBody<P> {
        #[pin]
        inner: Body,
        _place: Option<P>,
    }
}

impl<P> http_body::Body for SlotBody<P> {
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
