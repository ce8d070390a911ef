//! Deadlines: the client's timeout, at most the default; passed on to the clients and databases that the handler uses.
//!
//! Once a deadline has passed the handler's future is dropped, and with it the calls and statements that it waits for.
//! A stream has only the deadline that its client gave it, and ends at it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flotilla_wire::timeout;
use http::{HeaderMap, Request, Response};
use http_body::SizeHint;
use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::ending::{Ending, Polled};
use super::trace::traceparent;
use super::{method_of, refuse};
use crate::methods::Method;
use crate::{CallContext, Deadline, RequestId, RpcError};

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Deadlines<S> {
    inner: S,
    default: Duration,
}

impl<S> Deadlines<S> {
    pub fn new(inner: S, default: Duration) -> Self {
        Self { inner, default }
    }

    /// A unary call has the shorter of its own timeout and the longest allowed, a stream only its own.
    fn timeout(&self, headers: &HeaderMap, method: Option<&Arc<Method>>) -> Option<Duration> {
        let asked = timeout::read(headers);
        if method.is_some_and(|method| method.is_stream()) {
            return asked;
        }
        let declared = method.and_then(|method| method.rule.deadline);
        let longest = declared.map_or(self.default, |declared| declared.max(self.default));
        Some(asked.map_or_else(|| declared.unwrap_or(self.default), |asked| asked.min(longest)))
    }
}

impl<S> Service<Request<Body>> for Deadlines<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Timed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = method_of(&request);
        let streaming = method.is_some_and(|method| method.rule.server_streaming);
        let deadline = self.timeout(request.headers(), method).map(|timeout| Deadline(Instant::now() + timeout));
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let context = CallContext {
            deadline,
            request_id: request.extensions().get::<RequestId>().cloned(),
            traceparent: traceparent(request.headers()),
        };
        let stream = streaming.then(|| context.clone());
        let inner = context.wrap(self.inner.call(request));
        Timed { inner, stream, sleep: deadline.map(|deadline| sleep_until(deadline.0)) }
    }
}

pin_project! {
    /// The running call, in its context and with its deadline.
    pub(crate) struct Timed<F> {
        #[pin]
        inner: TaskLocalFuture<CallContext, F>,
        // The context of the response stream, if the method returns one.
        stream: Option<CallContext>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F> Future for Timed<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(Ok(response)) = this.inner.poll(cx) {
            let Some(context) = this.stream.take() else { return Poll::Ready(Ok(response)) };
            return Poll::Ready(Ok(response.map(|inner| Body::new(TimedBody::new(inner, context)))));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| Ok(refuse(exceeded()))),
            None => Poll::Pending,
        }
    }
}

/// A running stream, in its call's context and with its deadline.
struct TimedBody {
    inner: Ending,
    context: CallContext,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    fn new(inner: Body, context: CallContext) -> Self {
        let sleep = context.deadline.map(|deadline| Box::pin(sleep_until(deadline.0)));
        Self { inner: Ending::new(inner), context, sleep }
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if let ready @ Poll::Ready(_) = this.context.clone().enter(|| this.inner.poll(cx)) {
            return ready;
        }
        let Some(sleep) = &mut this.sleep else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        this.inner.end(exceeded())
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn exceeded() -> RpcError {
    RpcError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed")
}
