//! Unary calls: one message without a frame, errors by HTTP's status, trailers as headers that begin with `trailer-`.

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::{Encoding, gzip};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, VARY};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use prost_reflect::DescriptorPool;
use tonic::body::Body;

use super::error;
use super::get::Query;
use super::headers::{bytes, forwarded};
use crate::call::{Call, UnaryResponse};
use crate::message::{Codec, Coder, MIN_COMPRESSED, Unit, lend, one_request};
use crate::metadata;
use crate::reply::full;

/// Answers a call by POST.
pub async fn post(call: &Call<'_>, request: Request<Incoming>, codec: Codec) -> Response<Body> {
    let (request, remainder) = lend(request);
    let (parts, body) = request.into_parts();
    let encoding = Encoding::named(bytes(&parts.headers, &CONTENT_ENCODING)).map_err(RpcError::from);
    let given = encoding.map(|encoding| UnaryRequest { codec, encoding, body });
    remainder.settle(answered(call, Request::from_parts(parts, ()), given).await).await
}

/// Answers a call by GET.
pub async fn get(call: &Call<'_>, request: Request<Incoming>) -> Response<Body> {
    let request = request.map(|_| ());
    let given = Query::read(request.uri().query().unwrap_or_default()).map(|query| UnaryRequest {
        codec: query.codec,
        encoding: query.encoding,
        body: Body::new(Full::new(query.message)),
    });
    let mut response = answered(call, request, given).await;
    if !response.headers().contains_key(CACHE_CONTROL) {
        // The response may be for this caller only, so shared caches mustn't store it.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    }
    response
}

/// A request, whether it arrived by GET or POST.
struct UnaryRequest {
    codec: Codec,
    encoding: Encoding,
    body: Body,
}

async fn answered(call: &Call<'_>, request: Request<()>, given: Result<UnaryRequest, RpcError>) -> Response<Body> {
    let pool = call.method.input.parent_pool();
    let (mut parts, ()) = request.into_parts();
    let accepted = Encoding::accepted(bytes(&parts.headers, &ACCEPT_ENCODING));
    let ready = given.and_then(|given| Ok((given, forwarded(&parts.headers)?)));
    let (given, headers) = match ready {
        Ok(ready) => ready,
        Err(error) => return error::unary(&call.refuse(error), Some(pool)),
    };
    parts.headers = headers;
    let coder = Coder::new(given.codec, call.method);
    let (encoding, memory) = (given.encoding, parts.extensions.get().cloned());
    let unit = Unit { coder: coder.clone(), encoding, limit: call.edge.limits.max_body, memory };
    match call.make(Request::from_parts(parts, one_request(given.body, unit))).await {
        Ok(answer) => written(answer.whole().await, given.codec, &coder, accepted, pool),
        Err(status) => error::unary(&status, Some(pool)),
    }
}

/// A service's response as the client reads it.
fn written(
    answer: UnaryResponse,
    codec: Codec,
    coder: &Coder,
    accepted: Encoding,
    pool: &DescriptorPool,
) -> Response<Body> {
    let UnaryResponse { headers, trailers, message } = answer;
    let mut response = match message.and_then(|message| coder.write(message)) {
        Err(status) => error::unary(&status, Some(pool)),
        Ok(message) => {
            let smaller = if accepted == Encoding::Gzip { gzip::deflate(&message, MIN_COMPRESSED) } else { None };
            let is_smaller = smaller.is_some();
            let mut response = full(smaller.map_or(message, Bytes::from));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, content_type(codec));
            headers.append(VARY, HeaderValue::from_static("accept-encoding"));
            if is_smaller {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(Encoding::GZIP));
            }
            response
        }
    };
    let written = response.headers_mut();
    metadata::append(written, &metadata::response(&headers), |name| Some(name.clone()));
    let trailer = |name: &HeaderName| HeaderName::try_from(format!("trailer-{name}")).ok();
    metadata::append(written, &metadata::response(&trailers), trailer);
    response
}

fn content_type(codec: Codec) -> HeaderValue {
    HeaderValue::from_static(match codec {
        Codec::Proto => "application/proto",
        Codec::Json => "application/json",
    })
}
