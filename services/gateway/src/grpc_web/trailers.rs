//! Trailers as the last frame of a body, for clients that can't read HTTP's own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flotilla_wire::prefixed;
use http::HeaderMap;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

/// Flag of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

/// A body whose trailers are its last frame; `W` encodes each piece.
pub struct TrailersInBody<W> {
    inner: Body,
    write: W,
}

impl<W> TrailersInBody<W> {
    /// Makes the trailers of `inner` its last frame.
    pub fn new(inner: Body, write: W) -> Self {
        Self { inner, write }
    }
}

impl<W: Fn(Bytes) -> Bytes + Unpin> http_body::Body for TrailersInBody<W> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else { return Poll::Ready(None) };
        let data = match frame?.into_data() {
            Ok(data) => data,
            Err(frame) => frame.into_trailers().map(|trailers| block(&trailers)).unwrap_or_default(),
        };
        Poll::Ready(Some(Ok(Frame::data((self.write)(data)))))
    }
}

/// The frame: each trailer on a line of its own.
fn block(trailers: &HeaderMap) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    prefixed(TRAILERS, &lines)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn trailers_become_the_last_frame() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.append("x-own", HeaderValue::from_static("a"));
        trailers.append("x-own", HeaderValue::from_static("b"));
        let frames = [Frame::data(prefixed(0, b"hi")), Frame::trailers(trailers)].map(Ok::<_, Status>);
        let inner = Body::new(StreamBody::new(futures::stream::iter(frames)));
        let all = TrailersInBody::new(inner, |data| data).collect().await.unwrap();
        assert!(all.trailers().is_none());
        let expected = prefixed(TRAILERS, b"grpc-status: 0\r\nx-own: a\r\nx-own: b\r\n");
        assert_eq!(all.to_bytes(), [prefixed(0, b"hi"), expected].concat());
    }
}
