//! A stream that a layer may end before its handler does, with a status in the trailers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::RpcError;

/// The result of polling a body.
pub(crate) type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// The body of a stream. Once it has ended, its handler is dropped.
pub(crate) struct Ending(Option<Body>);

impl Ending {
    pub fn new(inner: Body) -> Self {
        Self(Some(inner))
    }

    /// The handler's next frame; nothing once the stream has been ended.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Some(inner) => http_body::Body::poll_frame(Pin::new(inner), cx),
            None => Poll::Ready(None),
        }
    }

    /// Drops the handler; the last frame is `error`.
    pub fn end(&mut self, error: RpcError) -> Polled {
        self.0 = None;
        let mut trailers = HeaderMap::with_capacity(3);
        // Fails for a message that isn't a valid header value, and then returns a status that says so.
        if let Err(status) = Status::from(error).add_header(&mut trailers) {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    pub fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    pub fn size_hint(&self) -> SizeHint {
        // A layer may end the stream at any time; only its end is certain.
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |_| SizeHint::default())
    }
}
