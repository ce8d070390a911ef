//! A body whose messages are made larger or smaller on their way.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;

use super::frames::Frames;
use crate::RpcError;

/// What is done to messages.
pub(super) trait Work {
    /// Whether these bytes of the body, which begin with a message, may go on as they are.
    fn may_pass(&self, data: &[u8]) -> bool;

    /// Appends a message as it goes on to `out`.
    fn message(&self, compressed: bool, message: &[u8], out: &mut BytesMut) -> Result<(), RpcError>;
}

pin_project! {
    /// The body.
    pub(super) struct Recoded<W> {
        #[pin]
        inner: Body,
        work: W,
        frames: Frames,
        // What follows the last whole message.
        after: VecDeque<Frame<Bytes>>,
    }
}

impl<W> Recoded<W> {
    pub fn new(inner: Body, work: W) -> Self {
        Self { inner, work, frames: Frames::default(), after: VecDeque::new() }
    }
}

impl<W: Work> http_body::Body for Recoded<W> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        loop {
            if let Some((compressed, message)) = this.frames.next() {
                let mut out = BytesMut::new();
                let done = this.work.message(compressed, &message, &mut out);
                return Poll::Ready(Some(done.map(|()| Frame::data(out.freeze())).map_err(Status::from)));
            }
            if let Some(frame) = this.after.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if this.frames.is_empty() && this.work.may_pass(&data) => {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(data) => this.frames.push(&data),
                    Err(trailers) => {
                        // A message that was cut off goes on as it is: the receiver says what is wrong with it.
                        this.after.extend(this.frames.rest().map(Frame::data));
                        this.after.push_back(trailers);
                    }
                },
                None => return Poll::Ready(this.frames.rest().map(|rest| Ok(Frame::data(rest)))),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.after.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
