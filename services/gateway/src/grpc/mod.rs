//! gRPC on the public port: public methods are passed on to their service as they are, nothing else is there but the
//! gateway's own health and the reflection of the public API.
//!
//! A message in protobuf is not decoded: a call costs a look into the route table, a look into the token cache and the
//! forwarding of headers and body. The exception are calls that make cached responses stale: their requests are read for
//! the name of what they change. Messages in JSON are transcoded.

mod call;
mod call_body;
mod message;
mod system;

use std::sync::Arc;

use flotilla_rpc::RpcError;
use flotilla_wire::Encoding;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Request, Response, Version};
use http_body::Frame;
use hyper::body::Incoming;
use tonic::body::Body;

use crate::edge::Edge;
use crate::message::{Codec, Coder, Unit, answers, requests};
use crate::problem::Problem;

pub use call::{Call, is_over};
pub use call_body::shutting_down;

pub use system::System;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GZIP: HeaderValue = HeaderValue::from_static(Encoding::GZIP);

/// Answers a gRPC request.
pub async fn handle(edge: &Arc<Edge>, request: Request<Incoming>, id: &HeaderValue, codec: Codec) -> Response<Body> {
    if request.version() != Version::HTTP_2 {
        let problem = Problem::bad_request("HTTP2_REQUIRED", "gRPC needs HTTP/2");
        return problem.into_response(id.to_str().unwrap_or_default());
    }
    let Some(method) = edge.routes.method(request.uri().path()) else {
        return system(edge, request.map(Body::new)).await;
    };
    let call = Call { edge, method, protocol: "grpc", verb: "POST", id };
    match codec {
        Codec::Proto => call.make(request).await,
        Codec::Json => {
            let mut response = transcoded(&call, request.map(Body::new)).await;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+json"));
            response
        }
    }
}

/// Answers a call that is for no service behind the edge.
pub async fn system(edge: &Edge, request: Request<Body>) -> Response<Body> {
    let mut response = edge.system.call(request).await;
    if edge.limits.bare_errors {
        response.headers_mut().remove(DETAILS);
    }
    response
}

/// Makes a call whose messages are JSON in frames of gRPC.
pub async fn transcoded(call: &Call<'_>, mut request: Request<Body>) -> Response<Body> {
    let headers = request.headers_mut();
    let encoding = match Encoding::named(headers.remove(ENCODING).as_ref().map(HeaderValue::as_bytes)) {
        Ok(encoding) => encoding,
        Err(unknown) => return call.refuse(RpcError::from(unknown).into()),
    };
    let accepted = Encoding::accepted(headers.remove(ACCEPTED).as_ref().map(HeaderValue::as_bytes));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // That of the JSON.
    headers.remove(CONTENT_LENGTH);
    let coder = Coder::new(Codec::Json, call.method);
    let memory = request.extensions().get().cloned();
    let unit = Unit { coder: coder.clone(), encoding, limit: call.edge.limits.max_body, memory };
    let mut response = call.make(request.map(|body| requests(body, unit))).await;
    if is_over(response.headers()) {
        return response;
    }
    if accepted == Encoding::Gzip {
        response.headers_mut().insert(ENCODING, GZIP);
    }
    response.map(|body| answers(body, coder, accepted, Frame::trailers))
}
