//! A stream that a layer may end before its handler does, with a status in the trailers as clients expect it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::RpcError;

/// What a body is asked for.
pub(crate) type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// The body of a stream. Once ended its handler is gone.
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
        // Fails for a message that can't stand in a header, and then says so itself.
        if let Err(status) = Status::from(error).add_header(&mut trailers) {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    pub fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    pub fn size_hint(&self) -> SizeHint {
        // A layer may cut in at any time: only that it has ended is certain.
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |_| SizeHint::default())
    }
}
