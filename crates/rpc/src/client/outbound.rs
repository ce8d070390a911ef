//! The body of a request: streamed through, or one message kept so that the call can be repeated.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

/// A request's body as it is sent.
#[derive(Debug)]
pub(crate) enum Outbound {
    /// The complete body.
    Whole(Bytes),
    /// The part that was read, and the rest.
    Begun(VecDeque<Bytes>, Body),
    /// The body as the caller sends it.
    Stream(Body),
}

impl Outbound {
    /// Reads a finite body up to `limit` bytes; a longer one is streamed.
    ///
    /// # Errors
    /// The caller's own: its message couldn't be encoded.
    pub async fn gather(self, limit: usize) -> Result<Self, Status> {
        let Self::Stream(mut body) = self else { return Ok(self) };
        // Usually there is one piece, which needs no queue and no copy.
        let mut first = Bytes::new();
        let mut read = VecDeque::new();
        let mut length = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            // gRPC has no trailers in requests.
            let Ok(data) = frame?.into_data() else { continue };
            length += data.len();
            if first.is_empty() && read.is_empty() {
                first = data;
            } else {
                read.push_back(data);
            }
            if length > limit {
                read.push_front(first);
                return Ok(Self::Begun(read, body));
            }
        }
        if read.is_empty() {
            return Ok(Self::Whole(first));
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        read.iter().for_each(|data| whole.extend_from_slice(data));
        Ok(Self::Whole(whole.freeze()))
    }

    /// A copy of the body, if all of it is in memory.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Begun(..) | Self::Stream(_) => None,
        }
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let data = match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Self::Whole(bytes) => std::mem::take(bytes),
            Self::Begun(read, rest) => match read.pop_front() {
                Some(data) => data,
                None => return Poll::Ready(ready!(Pin::new(rest).poll_frame(cx))),
            },
            Self::Stream(body) => return Pin::new(body).poll_frame(cx),
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Begun(read, rest) => read.is_empty() && rest.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn streamed(parts: &'static [&'static str]) -> Outbound {
        let frames = futures::stream::iter(parts).map(|part| Ok::<_, Status>(Bytes::from_static(part.as_bytes())));
        Outbound::Stream(Body::new(Frames(frames)))
    }

    struct Frames<S>(S);

    impl<S: futures::Stream<Item = Result<Bytes, Status>> + Unpin> http_body::Body for Frames<S> {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_next_unpin(cx).map(|next| next.map(|item| item.map(Frame::data)))
        }
    }

    async fn text(mut body: Outbound) -> String {
        let mut all = String::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            all.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn a_gathered_body_can_be_sent_again() {
        for parts in [&["one"][..], &["one", "two"], &[]] {
            let body = streamed(parts).gather(100).await.unwrap();
            let again = body.again().unwrap();
            assert_eq!(text(body).await, parts.concat());
            assert_eq!(text(again).await, parts.concat());
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_sent_completely_but_only_once() {
        let body = streamed(&["one", "two", "three"]).gather(5).await.unwrap();
        assert!(body.again().is_none());
        assert_eq!(text(body).await, "onetwothree");
    }
}
