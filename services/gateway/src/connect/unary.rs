//! Unary calls: one message without a frame, errors by HTTP's status, trailers as headers that begin with `trailer-`.

use bytes::Bytes;
use flotilla_wire::{Encoding, gzip};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tonic::{Code, Status};

use flotilla_rpc::RpcError;

use super::error;
use super::get::Query;
use super::headers::{bytes, forwarded};
use crate::grpc::Call;
use crate::message::{Codec, Coder, MessageReader, Unit, WORTH, lend, one_request};
use crate::metadata;
use crate::rest::full;

/// Largest answer that is gathered.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Answers a call by POST.
pub async fn post(call: &Call<'_>, request: Request<Incoming>, codec: Codec) -> Response<Body> {
    let (request, remainder) = lend(request);
    let (parts, body) = request.into_parts();
    let encoding = Encoding::named(bytes(&parts.headers, &CONTENT_ENCODING)).map_err(RpcError::from);
    let asked = encoding.map(|encoding| Asked { codec, encoding, body });
    remainder.settle(answered(call, Request::from_parts(parts, ()), asked).await).await
}

/// Answers a call by GET.
pub async fn get(call: &Call<'_>, request: Request<Incoming>) -> Response<Body> {
    let request = request.map(|_| ());
    let asked = Query::read(request.uri().query().unwrap_or_default()).map(|query| Asked {
        codec: query.codec,
        encoding: query.encoding,
        body: Body::new(Full::new(query.message)),
    });
    let mut response = answered(call, request, asked).await;
    if !response.headers().contains_key(CACHE_CONTROL) {
        // What a caller may see is theirs: no shared cache on the way keeps it.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    }
    response
}

/// What a client asks, however it came.
struct Asked {
    codec: Codec,
    encoding: Encoding,
    body: Body,
}

async fn answered(call: &Call<'_>, request: Request<()>, asked: Result<Asked, RpcError>) -> Response<Body> {
    let pool = call.method.input.parent_pool();
    let (mut parts, ()) = request.into_parts();
    let accepted = Encoding::accepted(bytes(&parts.headers, &ACCEPT_ENCODING));
    let ready = asked.and_then(|asked| Ok((asked, forwarded(&parts.headers)?)));
    let (asked, headers) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            let status = call.edge.limits.told(error.into());
            call.refuse(status.clone());
            return error::unary(&status, Some(pool));
        }
    };
    parts.headers = headers;
    let coder = Coder::new(asked.codec, call.method);
    let (encoding, memory) = (asked.encoding, parts.extensions.get().cloned());
    let unit = Unit { coder: coder.clone(), encoding, limit: call.edge.limits.max_body, memory };
    let response = call.make(Request::from_parts(parts, one_request(asked.body, unit))).await;
    let (parts, body) = response.into_parts();
    let answer = Answer { headers: parts.headers, codec: asked.codec, coder, accepted };
    let response = answer.written(body, pool).await;
    if let Some(length) = http_body::Body::size_hint(response.body()).exact() {
        call.method.answers.note(usize::try_from(length).unwrap_or(usize::MAX));
    }
    response
}

/// The answer of the service and what the client can read.
struct Answer {
    headers: HeaderMap,
    codec: Codec,
    coder: Coder,
    accepted: Encoding,
}

impl Answer {
    async fn written(self, body: Body, pool: &DescriptorPool) -> Response<Body> {
        let (trailers, message) = match self.gathered(body).await {
            Ok(gathered) => gathered,
            Err((status, trailers)) => {
                let mut response = error::unary(&status, Some(pool));
                self.add_metadata(&mut response, &trailers);
                return response;
            }
        };
        let packed = if self.accepted == Encoding::Gzip { gzip::deflate(&message, WORTH) } else { None };
        let is_packed = packed.is_some();
        let mut response = full(packed.map_or(message, Bytes::from));
        self.add_metadata(&mut response, &trailers);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type(self.codec));
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        if is_packed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(Encoding::GZIP));
        }
        response
    }

    /// The one message and the trailers, or the status of an error with them.
    async fn gathered(&self, body: Body) -> Result<(HeaderMap, Bytes), (Status, HeaderMap)> {
        if let Some(status) = Status::from_header_map(&self.headers).filter(|status| status.code() != Code::Ok) {
            return Err((status, HeaderMap::new()));
        }
        let mut frames = MessageReader::new(body, MAX_ANSWER);
        let mut messages = Vec::new();
        loop {
            match frames.next().await {
                Ok(Some((0, message))) if messages.is_empty() => messages.push(message),
                Ok(None) => break,
                Ok(Some(_)) => return Err((RpcError::internal().into(), HeaderMap::new())),
                Err(status) => return Err((status, HeaderMap::new())),
            }
        }
        let trailers = frames.trailers().unwrap_or_default();
        let told = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&self.headers));
        match (told, messages.pop()) {
            (Some(status), Some(message)) if status.code() == Code::Ok => match self.coder.write(message) {
                Ok(message) => Ok((trailers, message)),
                Err(status) => Err((status, trailers)),
            },
            (Some(status), _) if status.code() != Code::Ok => Err((status, trailers)),
            _ => Err((RpcError::internal().into(), trailers)),
        }
    }

    fn add_metadata(&self, response: &mut Response<Body>, trailers: &HeaderMap) {
        let headers = response.headers_mut();
        metadata::append(headers, &metadata::response(&self.headers), |name| Some(name.clone()));
        let trailer = |name: &HeaderName| HeaderName::try_from(format!("trailer-{name}")).ok();
        metadata::append(headers, &metadata::response(trailers), trailer);
    }
}

fn content_type(codec: Codec) -> HeaderValue {
    HeaderValue::from_static(match codec {
        Codec::Proto => "application/proto",
        Codec::Json => "application/json",
    })
}
