//! A body whose messages are inflated or compressed as they pass.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use flotilla_wire::{COMPRESSED, Messages, PREFIX, head};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;

use crate::RpcError;

/// The conversion of messages.
pub(super) trait Work {
    /// Whether these bytes of the body, which begin with a message, may pass unchanged.
    fn may_pass(&self, data: &[u8]) -> bool;

    /// Converts a message and appends it to `out`.
    fn message(&self, flags: u8, message: &[u8], out: &mut BytesMut) -> Result<(), RpcError>;
}

pin_project! {
    /// The body.
    pub(super) struct Recoded<W> {
        #[pin]
        inner: Body,
        work: W,
        messages: Messages,
        // The rest after the last complete message.
        after: VecDeque<Frame<Bytes>>,
    }
}

impl<W> Recoded<W> {
    pub fn new(inner: Body, work: W) -> Self {
        // Messages that are too large were refused by an outer layer.
        Self { inner, work, messages: Messages::new(usize::MAX), after: VecDeque::new() }
    }
}

impl<W: Work> http_body::Body for Recoded<W> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        loop {
            if let Some((flags, message)) = this.messages.cut().map_err(RpcError::from)? {
                let mut out = BytesMut::new();
                let done = this.work.message(flags, &message, &mut out);
                return Poll::Ready(Some(done.map(|()| Frame::data(out.freeze())).map_err(Status::from)));
            }
            if let Some(frame) = this.after.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if this.messages.is_empty() && this.work.may_pass(&data) => {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Ok(data) => this.messages.push(&data),
                    Err(trailers) => {
                        // A truncated message passes unchanged: the receiver reports the error.
                        this.after.extend(this.messages.rest().map(Frame::data));
                        this.after.push_back(trailers);
                    }
                },
                None => return Poll::Ready(this.messages.rest().map(|rest| Ok(Frame::data(rest)))),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_empty() && self.after.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Whether `data` consists of complete, uncompressed messages below `above` bytes, which may pass unchanged.
pub(super) fn may_pass(mut data: &[u8], above: usize) -> bool {
    while !data.is_empty() {
        match head(data) {
            Some((flags, length)) if flags & COMPRESSED == 0 && length < above && data.len() - PREFIX >= length => {
                data = &data[PREFIX + length..];
            }
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use flotilla_wire::prefixed;

    use super::*;

    #[test]
    fn only_small_complete_and_uncompressed_messages_pass_unchanged() {
        let message = |flags, length| prefixed(flags, &vec![0; length]);
        assert!(may_pass(&message(0, 9), 10));
        assert!(may_pass(&[message(0, 9), message(0, 0)].concat(), 10));
        assert!(!may_pass(&message(0, 10), 10));
        assert!(!may_pass(&message(COMPRESSED, 9), 10));
        assert!(!may_pass(&message(0, 9)[..12], 10));
        assert!(!may_pass(&[0, 0], 10));
    }
}
