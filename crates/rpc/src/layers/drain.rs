//! The drain: once the server shuts down, unary calls continue to their end, and streams end with `SERVER_DRAINING` and
//! a retry delay, so that clients reconnect to another replica or to this one's successor.
//!
//! A stream from the server delivers the frames that its handler has ready, up to a limit, and is then ended. A stream
//! from the client alone is reported to its handler as an error of its next message, so that the handler can finish
//! what it has received.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::SizeHint;
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::ending::{Ending, Polled};
use super::{method_of, refuse};
use crate::RpcError;

/// The retry delay: another replica is available.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Frames that a draining stream may still deliver, so that one that is about to end does so by itself.
const MAX_DRAINING_FRAMES: u32 = 64;

type Cancelled = Pin<Box<WaitForCancellationFutureOwned>>;

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Drain<S> {
    inner: S,
    draining: CancellationToken,
}

impl<S> Drain<S> {
    pub fn new(inner: S, draining: CancellationToken) -> Self {
        Self { inner, draining }
    }

    fn cancelled(&self) -> Cancelled {
        Box::pin(self.draining.clone().cancelled_owned())
    }
}

impl<S> Service<Request<Body>> for Drain<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Draining<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (asks, answers) = method_of(&request)
            .map_or((false, false), |method| (method.rule.client_streaming, method.rule.server_streaming));
        match (asks, answers) {
            (false, false) => Draining::Unary { inner: self.inner.call(request) },
            _ if self.draining.is_cancelled() => Draining::Refused,
            (true, false) => {
                let draining = Some(self.cancelled());
                let request = request.map(|inner| Body::new(RequestStream { inner, draining }));
                Draining::Unary { inner: self.inner.call(request) }
            }
            (_, true) => Draining::Stream { inner: self.inner.call(request), draining: Some(self.cancelled()) },
        }
    }
}

/// The error that clients of a draining server get.
fn draining_error() -> RpcError {
    RpcError::new(Code::Unavailable, "SERVER_DRAINING", "the server is shutting down; call again")
        .retry_after(RETRY_AFTER)
}

pin_project! {
    /// The running call. Only streaming responses are ended early.
    #[project = DrainingProjection]
    pub(crate) enum Draining<F> {
        Unary {
            #[pin]
            inner: F,
        },
        Stream {
            #[pin]
            inner: F,
            draining: Option<Cancelled>,
        },
        Refused,
    }
}

impl<F> Future for Draining<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            DrainingProjection::Unary { inner } => inner.poll(cx),
            DrainingProjection::Refused => Poll::Ready(Ok(refuse(draining_error()))),
            DrainingProjection::Stream { inner, draining } => {
                if let Poll::Ready(Ok(response)) = inner.poll(cx) {
                    let Some(draining) = draining.take() else { return Poll::Ready(Ok(response)) };
                    if http_body::Body::is_end_stream(response.body()) {
                        return Poll::Ready(Ok(response));
                    }
                    let answer = |inner| ResponseStream {
                        inner: Ending::new(inner),
                        draining,
                        over: false,
                        frames_left: MAX_DRAINING_FRAMES,
                    };
                    return Poll::Ready(Ok(response.map(|inner| Body::new(answer(inner)))));
                }
                match draining {
                    Some(cancelled) => cancelled.as_mut().poll(cx).map(|()| Ok(refuse(draining_error()))),
                    None => Poll::Pending,
                }
            }
        }
    }
}

pin_project! {
    /// The body that a client streams: fails once the server drains.
    struct RequestStream {
        #[pin]
        inner: Body,
        draining: Option<Cancelled>,
    }
}

impl http_body::Body for RequestStream {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.project();
        let Some(cancelled) = this.draining else { return Poll::Ready(None) };
        if cancelled.as_mut().poll(cx).is_ready() {
            *this.draining = None;
            return Poll::Ready(Some(Err(draining_error().into())));
        }
        this.inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The stream of a response.
struct ResponseStream {
    inner: Ending,
    draining: Cancelled,
    /// The drain has begun.
    over: bool,
    frames_left: u32,
}

impl http_body::Body for ResponseStream {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if !self.over {
            self.over = self.draining.as_mut().poll(cx).is_ready();
        }
        if !self.over {
            return self.inner.poll(cx);
        }
        // Trailers always pass: they end the stream.
        if let Poll::Ready(frame) = self.inner.poll(cx) {
            let data = matches!(&frame, Some(Ok(frame)) if frame.is_data());
            if !data || self.frames_left > 0 {
                self.frames_left = self.frames_left.saturating_sub(1);
                return Poll::Ready(frame);
            }
        }
        self.inner.end(draining_error())
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
