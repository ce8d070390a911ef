//! What is left of a request over HTTP/1.1 that was answered before it was read to its end.
//!
//! The connection can't be reused with half a request in it, and a client that sends everything before it reads would
//! see it close instead of getting the response. So the rest is read and discarded before the response ends, within
//! bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::once;
use futures::{FutureExt as _, StreamExt as _};
use http::header::EXPECT;
use http::{HeaderMap, Request, Response, Version};
use http_body::Body as _;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

/// The maximum that is discarded, and how long that may take.
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_DURATION: Duration = Duration::from_secs(2);

/// Receives what is left of a request's body once the request has been answered.
pub struct Remainder<B>(Option<oneshot::Receiver<B>>);

/// A body that sends itself back if it is dropped before its end.
struct ReturnedBody<B> {
    inner: Option<B>,
    back: Option<oneshot::Sender<B>>,
}

/// The request, and the remainder of its body. Over HTTP/2 there is never one: each request is a stream of its own.
pub fn lend<B>(request: Request<B>) -> (Request<Body>, Remainder<B>)
where
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // A client that waits for `100 Continue` doesn't get it and reads the response.
    if request.version() >= Version::HTTP_2 || request.headers().contains_key(EXPECT) {
        return (request.map(Body::new), Remainder(None));
    }
    let (back, remainder) = oneshot::channel();
    (request.map(|inner| Body::new(ReturnedBody { inner: Some(inner), back: Some(back) })), Remainder(Some(remainder)))
}

impl<B> Remainder<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
{
    /// The response; it ends once the rest of the request has been read.
    pub async fn settle(self, response: Response<Body>) -> Response<Body> {
        let Self(Some(left)) = self else { return response };
        if response.body().is_end_stream() || response.body().size_hint().exact().is_some() {
            discard(left).await;
            return response;
        }
        response.map(|body| {
            let last = once(discard(left)).map(|()| Ok(Frame::data(Bytes::new())));
            Body::new(StreamBody::new(BodyStream::new(body).chain(last)))
        })
    }
}

/// Reads what is left of a body, within bounds. If that fails or takes too long, the response is the same.
async fn discard<B>(left: oneshot::Receiver<B>)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let all = async {
        // Nothing is sent if the body was read to its end.
        if let Ok(body) = left.await {
            read_rest(body).await;
        }
    };
    timeout(MAX_DURATION, all).map(drop).await;
}

/// Reads and discards what is left of a body, within bounds.
pub async fn drain<B>(body: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    timeout(MAX_DURATION, read_rest(body)).map(drop).await;
}

async fn read_rest<B>(mut body: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > MAX_BYTES {
            return;
        }
    }
}

/// Reads and discards the body of a request whose response doesn't depend on it.
pub async fn discard_body<B>(version: Version, headers: &HeaderMap, body: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if version < Version::HTTP_2 && !headers.contains_key(EXPECT) {
        drain(body).await;
    }
}

impl<B> http_body::Body for ReturnedBody<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            (self.inner, self.back) = (None, None);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| super::broken(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl<B> Drop for ReturnedBody<B> {
    fn drop(&mut self) {
        if let (Some(inner), Some(back)) = (self.inner.take(), self.back.take()) {
            // There is no receiver if the client is gone.
            let _ = back.send(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A request in three pieces, and how many of them were read.
    fn request(
        version: Version,
    ) -> (Request<impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin>, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let pieces = futures::stream::iter(0..3).map(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Frame::data(Bytes::from_static(b"piece")))
        });
        let mut request = Request::new(StreamBody::new(pieces));
        *request.version_mut() = version;
        (request, read)
    }

    fn streamed() -> Response<Body> {
        let frames = futures::stream::iter([Ok::<_, Status>(Frame::data(Bytes::from_static(b"answer")))]);
        Response::new(Body::new(StreamBody::new(frames)))
    }

    #[tokio::test]
    async fn the_rest_of_a_request_is_read_before_the_response_ends() {
        for response in [Response::new(Body::empty()), streamed()] {
            let (request, read) = request(Version::HTTP_11);
            let (mut request, remainder) = lend(request);
            request.body_mut().frame().await.unwrap().unwrap();
            drop(request);
            remainder.settle(response).await.into_body().collect().await.unwrap();
            assert_eq!(read.load(Ordering::Relaxed), 3);
        }
    }

    #[tokio::test]
    async fn a_request_read_to_its_end_leaves_nothing_to_wait_for() {
        let (request, read) = request(Version::HTTP_11);
        let (request, remainder) = lend(request);
        let mut body = request.into_body();
        while body.frame().await.is_some() {}
        // The body is still there, as it is while a service answers.
        remainder.settle(streamed()).await.into_body().collect().await.unwrap();
        assert_eq!(read.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn http2_has_no_remainder() {
        let (request, read) = request(Version::HTTP_2);
        let (request, remainder) = lend(request);
        drop(request);
        remainder.settle(streamed()).await.into_body().collect().await.unwrap();
        assert_eq!(read.load(Ordering::Relaxed), 0);
    }
}
