//! Limits request messages: the length that stands before each gRPC message is read as it passes, so that a message
//! that is too large is refused before it is gathered in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::RpcError;

/// A flag and the length in four bytes, big endian.
const PREFIX: usize = 5;

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
            return Poll::Ready(Some(Err(error.into())));
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

/// Follows the framing of a body.
#[derive(Debug)]
struct Lengths {
    limit: usize,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix seen so far.
    seen: usize,
    /// Bytes of the current message still to come.
    rest: usize,
}

impl Lengths {
    fn new(limit: usize) -> Self {
        Self { limit, prefix: [0; PREFIX], seen: 0, rest: 0 }
    }

    fn pass(&mut self, mut data: &[u8]) -> Result<(), RpcError> {
        while !data.is_empty() {
            let skipped = self.rest.min(data.len());
            self.rest -= skipped;
            data = &data[skipped..];
            if data.is_empty() {
                break;
            }
            let taken = (PREFIX - self.seen).min(data.len());
            self.prefix[self.seen..self.seen + taken].copy_from_slice(&data[..taken]);
            self.seen += taken;
            data = &data[taken..];
            if self.seen == PREFIX {
                let [_, a, b, c, d] = self.prefix;
                self.rest = u32::from_be_bytes([a, b, c, d]) as usize;
                self.seen = 0;
                if self.rest > self.limit {
                    return Err(self.too_large());
                }
            }
        }
        Ok(())
    }

    fn too_large(&self) -> RpcError {
        RpcError::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", "the message is larger than allowed")
            .metadata("limit_bytes", self.limit.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&(length as u32).to_be_bytes());
        bytes.resize(PREFIX + length, 1);
        bytes
    }

    #[test]
    fn messages_within_the_limit_pass_however_they_are_cut() {
        let body = [message(0), message(10), message(3)].concat();
        for size in 1..=body.len() {
            let mut lengths = Lengths::new(10);
            assert!(body.chunks(size).all(|chunk| lengths.pass(chunk).is_ok()), "chunks of {size}");
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_prefix() {
        let body = [message(10), message(11)].concat();
        for size in 1..=body.len() {
            let mut lengths = Lengths::new(10);
            let error = body.chunks(size).find_map(|chunk| lengths.pass(chunk).err()).unwrap();
            assert_eq!(error.reason(), "MESSAGE_TOO_LARGE");
        }
    }
}
