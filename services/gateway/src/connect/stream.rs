//! Streams, in either direction or both: length-prefixed messages, and a last one that carries the status.

use flotilla_rpc::RpcError;
use flotilla_wire::Encoding;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use super::error::{content_type, end, failed, stream_error, stream_over};
use super::headers::{bytes, forwarded};
use crate::call::Call;
use crate::grpc;
use crate::message::{Codec, Coder, Unit, answers, lend, requests};
use crate::metadata;

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
    let pool = call.method.input.parent_pool().clone();
    let (encoding, headers) = match encoding.and_then(|encoding| Ok((encoding, forwarded(&parts.headers)?))) {
        Ok(ready) => ready,
        Err(error) => return stream_error(&call.refuse(error), codec, None),
    };
    parts.headers = headers;
    let coder = Coder::new(codec, call.method);
    let memory = parts.extensions.get().cloned();
    let unit = Unit { coder: coder.clone(), encoding, limit: call.edge.limits.max_body, memory };
    let answer = match call.make(Request::from_parts(parts, requests(body, unit))).await {
        Ok(answer) => answer,
        Err(status) => return stream_error(&status, codec, Some(&pool)),
    };
    let (parts, body) = answer.into_response().into_parts();
    if grpc::is_over(&parts.headers) {
        return stream_over(end(&parts.headers, Some(&pool)), codec);
    }
    let ended = move |ended: Result<HeaderMap, Status>| {
        Frame::data(match ended {
            Ok(trailers) => end(&trailers, Some(&pool)),
            Err(status) => failed(&status, Some(&pool)),
        })
    };
    let mut response = Response::new(answers(body, coder, accepted, ended));
    let headers = response.headers_mut();
    *headers = metadata::response(&parts.headers);
    headers.insert(CONTENT_TYPE, content_type(codec));
    if accepted == Encoding::Gzip {
        headers.insert(ENCODING, HeaderValue::from_static(Encoding::GZIP));
    }
    response
}
