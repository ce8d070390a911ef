//! Limits request messages: the length prefix of each gRPC message is read as it passes, so that a message that is too
//! large is refused before it is in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flotilla_wire::Lengths;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::RpcError;

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct MessageSize<S> {
    inner: S,
    limit: usize,
}

impl<S> MessageSize<S> {
    pub fn new(inner: S, limit: usize) -> Self {
        Self { inner, limit }
    }
}

impl<S> Service<Request<Body>> for MessageSize<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fits = http_body::Body::size_hint(request.body()).upper();
        if fits.is_some_and(|upper| upper <= self.limit as u64) {
            return self.inner.call(request);
        }
        let lengths = Lengths::new(self.limit);
        self.inner.call(request.map(|inner| Body::new(Limited { inner, lengths })))
    }
}

pin_project! {
    struct Limited {
        #[pin]
        inner: Body,
        lengths: Lengths,
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(passing)) = &frame
            && let Some(data) = passing.data_ref()
            && let Err(error) = this.lengths.pass(data)
        {
            return Poll::Ready(Some(Err(RpcError::from(error).into())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
