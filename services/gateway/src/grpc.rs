//! gRPC on the public port: public methods are passed through to their service; besides them there are only the
//! gateway's own health service and the reflection of the public API.
//!
//! A protobuf message is not decoded: a call costs a lookup in the route table, a lookup in the token cache and the
//! forwarding of headers and body. The exception is calls that make cached responses stale: their requests are read for
//! the name of the resource that they change. JSON messages are transcoded.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flotilla_wire::Encoding;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use crate::call::{Answer, Call, CallBody, STATUS};
use crate::edge::Edge;
use crate::message::{Codec, Coder, Unit, answers, requests};
use crate::problem::Problem;
use crate::routes::RpcMethod;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GZIP: HeaderValue = HeaderValue::from_static(Encoding::GZIP);

/// Answers a gRPC request for a public method, or for one of the gateway's own services.
pub async fn handle(
    edge: &Arc<Edge>,
    request: Request<Incoming>,
    id: &HeaderValue,
    codec: Codec,
    method: Option<&Arc<RpcMethod>>,
) -> Response<Body> {
    if request.version() != Version::HTTP_2 {
        let problem = Problem::bad_request("HTTP2_REQUIRED", "gRPC needs HTTP/2");
        return problem.into_response(id.to_str().unwrap_or_default());
    }
    let Some(method) = method else { return system(edge, request.map(Body::new)).await };
    let call = Call::by_name(edge, method, "grpc", "POST", id);
    match codec {
        Codec::Proto => written(call.make(request).await),
        Codec::Json => {
            let mut response = transcoded(&call, request.map(Body::new)).await;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+json"));
            response
        }
    }
}

/// Answers a call that isn't for a service behind the gateway.
pub async fn system(edge: &Edge, request: Request<Body>) -> Response<Body> {
    let mut response = edge.system.call(request).await;
    if edge.limits.bare_errors {
        response.headers_mut().remove(DETAILS);
    }
    response
}

/// Makes a call whose messages are length-prefixed JSON.
pub async fn transcoded(call: &Call<'_>, mut request: Request<Body>) -> Response<Body> {
    let headers = request.headers_mut();
    let encoding = match Encoding::named(headers.remove(ENCODING).as_ref().map(HeaderValue::as_bytes)) {
        Ok(encoding) => encoding,
        Err(unknown) => return error(&call.refuse(unknown)),
    };
    let accepted = Encoding::accepted(headers.remove(ACCEPTED).as_ref().map(HeaderValue::as_bytes));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // That of the JSON.
    headers.remove(CONTENT_LENGTH);
    let coder = Coder::new(Codec::Json, call.method);
    let memory = request.extensions().get().cloned();
    let unit = Unit { coder: coder.clone(), encoding, limit: call.edge.limits.max_body, memory };
    let mut response = match call.make(request.map(|body| requests(body, unit))).await {
        Ok(answer) => answer.into_response(),
        Err(status) => return error(&status),
    };
    if is_over(response.headers()) {
        return response.map(Body::new);
    }
    if accepted == Encoding::Gzip {
        response.headers_mut().insert(ENCODING, GZIP);
    }
    let end = |ended: Result<_, _>| Frame::trailers(ended.unwrap_or_else(|status| trailers(&status)));
    response.map(|body| answers(body, coder, accepted, end))
}

/// A response in gRPC's form.
pub fn written(made: Result<Answer<'_>, Status>) -> Response<Body> {
    match made {
        Ok(answer) => answer.into_response().map(|body| Body::new(Written(body))),
        Err(status) => error(&status),
    }
}

/// An error in gRPC's form, before any message.
pub fn error(status: &Status) -> Response<Body> {
    status.clone().into_http()
}

/// Whether a response has its status in its headers and no body.
pub fn is_over(headers: &HeaderMap) -> bool {
    headers.contains_key(STATUS)
}

/// The trailers of a status.
fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(STATUS, HeaderValue::from_static("13"));
    }
    trailers
}

/// The body of a response, which always ends with trailers.
struct Written(CallBody);

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.0)
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| Ok(frame.unwrap_or_else(|status| Frame::trailers(trailers(&status))))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
