//! Streams, in either direction or both: messages in frames, and a last frame that tells how the stream ended.

use flotilla_rpc::RpcError;
use flotilla_wire::Encoding;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use tonic::body::Body;

use super::error::{end, stream_error};
use super::headers::{bytes, forwarded};
use crate::grpc::{self, Call};
use crate::message::{Codec, Coder, Unit, answers, lend, requests};
use crate::metadata;
use crate::rest::full;

const ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("connect-accept-encoding");

/// Answers a call of a method with streams.
pub async fn stream(call: &Call<'_>, request: Request<Incoming>, codec: Codec) -> Response<Body> {
    let (request, remainder) = lend(request);
    remainder.settle(answered(call, request, codec).await).await
}

async fn answered(call: &Call<'_>, request: Request<Body>, codec: Codec) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let accepted = Encoding::accepted(bytes(&parts.headers, &ACCEPTED));
    let encoding = Encoding::named(bytes(&parts.headers, &ENCODING)).map_err(RpcError::from);
    let (encoding, headers) = match encoding.and_then(|encoding| Ok((encoding, forwarded(&parts.headers)?))) {
        Ok(ready) => ready,
        Err(error) => {
            let status = call.edge.limits.told(error.into());
            call.refuse(status.clone());
            return stream_error(&status, codec);
        }
    };
    parts.headers = headers;
    let coder = Coder::new(codec, call.method);
    let memory = parts.extensions.get().cloned();
    let unit = Unit { coder: coder.clone(), encoding, limit: call.edge.limits.max_body, memory };
    let response = call.make(Request::from_parts(parts, requests(body, unit))).await;
    let pool = call.method.input.parent_pool().clone();
    let (parts, body) = response.into_parts();
    if grpc::is_over(&parts.headers) {
        let mut response = full(end(&parts.headers, Some(&pool)));
        response.headers_mut().insert(CONTENT_TYPE, content_type(codec));
        return response;
    }
    let ended = move |trailers: HeaderMap| Frame::data(end(&trailers, Some(&pool)));
    let mut response = Response::new(answers(body, coder, accepted, ended));
    let headers = response.headers_mut();
    *headers = metadata::response(&parts.headers);
    headers.insert(CONTENT_TYPE, content_type(codec));
    if accepted == Encoding::Gzip {
        headers.insert(ENCODING, HeaderValue::from_static(Encoding::GZIP));
    }
    response
}

/// The content type of streams.
pub fn content_type(codec: Codec) -> HeaderValue {
    HeaderValue::from_static(match codec {
        Codec::Proto => "application/connect+proto",
        Codec::Json => "application/connect+json",
    })
}
