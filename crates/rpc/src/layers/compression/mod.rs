//! Compression: gzip-compressed requests are inflated, never beyond the limit of a message; responses are compressed
//! for clients that accept it, message by message, if a message is large enough to be worth it.
//!
//! It is inside the layer that limits message sizes, and around all services: the generated servers' own switch would
//! have to be set for each, and would compress even the smallest message. If neither side uses compression, a call
//! passes unchanged.

mod recode;
mod request;
mod response;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flotilla_wire::Encoding;
use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::Service;

use self::recode::Recoded;
use self::request::Inflate;
use self::response::Deflate;
use super::answered::Answered;
use crate::RpcError;

static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
static STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Compression<S> {
    inner: S,
    /// Maximum size of a message after inflation.
    limit: usize,
    /// Minimum size of messages to compress; 0 disables compression.
    above: usize,
}

impl<S> Compression<S> {
    pub fn new(inner: S, limit: usize, above: usize) -> Self {
        Self { inner, limit, above }
    }
}

impl<S> Service<Request<Body>> for Compression<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answered<Compressing<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let accepted = Encoding::accepted(request.headers().get(&ACCEPT_ENCODING).map(HeaderValue::as_bytes));
        let above = (self.above > 0 && accepted == Encoding::Gzip).then_some(self.above);
        let encoding = request.headers_mut().remove(&ENCODING);
        match Encoding::named(encoding.as_ref().map(HeaderValue::as_bytes)) {
            Ok(Encoding::Identity) => {}
            Ok(Encoding::Gzip) => {
                let limit = self.limit;
                request = request.map(|inner| Body::new(Recoded::new(inner, Inflate { limit })));
            }
            Err(unknown) => return Answered::Refused { response: Some(refused(unknown.into())) },
        }
        Answered::called(Compressing { inner: self.inner.call(request), above })
    }
}

pin_project! {
    /// The call as it runs; its response may have to be compressed.
    pub(crate) struct Compressing<F> {
        #[pin]
        inner: F,
        above: Option<usize>,
    }
}

impl<F> Future for Compressing<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        let Some(above) = *this.above else { return Poll::Ready(Ok(response)) };
        // A status in the headers means that no message follows.
        if response.headers().contains_key(&STATUS) || response.headers().contains_key(&ENCODING) {
            return Poll::Ready(Ok(response));
        }
        response.headers_mut().insert(ENCODING.clone(), HeaderValue::from_static(Encoding::GZIP));
        Poll::Ready(Ok(response.map(|inner| Body::new(Recoded::new(inner, Deflate { above })))))
    }
}

/// Sets the header with the supported encodings, as gRPC requires.
fn refused(unknown: RpcError) -> Response<Body> {
    let mut response = super::refuse(unknown);
    response.headers_mut().insert(ACCEPT_ENCODING.clone(), HeaderValue::from_static("gzip,identity"));
    response
}
