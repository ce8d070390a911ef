//! Responses on their way to the client: which pieces haven't been written yet, and the memory that they use until
//! then.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::activity::OpenCall;
use crate::admission::RequestMemory;

/// A piece of a response that is not written yet.
struct PendingWrite(Arc<OpenCall>);

impl PendingWrite {
    fn new(call: &Arc<OpenCall>) -> Self {
        call.handed_on();
        Self(Arc::clone(call))
    }
}

impl Drop for PendingWrite {
    fn drop(&mut self) {
        self.0.written();
    }
}

/// A response on its way to the client. Its call is in flight, and its memory counted, until its last piece is written
/// to the connection.
#[derive(Debug)]
pub struct Answer<B> {
    inner: B,
    call: Arc<OpenCall>,
    memory: Option<RequestMemory>,
    /// Whether the whole response has been counted.
    counted: bool,
}

impl<B: Body> Answer<B> {
    /// Wraps `inner`, the response of `call`, and counts it in `memory`.
    pub fn new(inner: B, call: OpenCall, memory: Option<RequestMemory>) -> Self {
        let length = inner.size_hint().exact();
        if let (Some(memory), Some(length)) = (&memory, length) {
            memory.charge(length);
        }
        // An empty body is never polled for frames.
        call.set_ended(inner.is_end_stream());
        call.offer();
        Self { inner, call: Arc::new(call), memory, counted: length.is_some() }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            self.call.nothing_to_offer();
            return Poll::Pending;
        };
        // After trailers, or a last frame that says so, the body isn't polled again.
        let more = frame.as_ref().is_some_and(|frame| frame.as_ref().is_ok_and(Frame::is_data));
        self.call.set_ended(!more || self.inner.is_end_stream());
        self.call.offer();
        Poll::Ready(match (frame, &self.memory) {
            (Some(Ok(frame)), Some(memory)) => {
                let held = |data| memory.hold(data, self.counted, PendingWrite::new(&self.call));
                Some(Ok(frame.map_data(held)))
            }
            (frame, _) => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
