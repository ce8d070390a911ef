//! gRPC-Web on the public port, over HTTP/1.1 and HTTP/2: gRPC with its trailers in the body's last frame and, in its
//! text form, all of it in base64. Messages in protobuf pass undecoded, packed or not.

mod text;
mod trailers;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use crate::edge::Edge;
use crate::grpc::{self, Call};
use crate::message::{Codec, lend};
use crate::metadata;

/// Answers a gRPC-Web request.
pub async fn handle(
    edge: &Arc<Edge>,
    request: Request<Incoming>,
    id: &HeaderValue,
    codec: Codec,
    text: bool,
) -> Response<Body> {
    let (request, remainder) = lend(request);
    let (mut parts, body) = request.into_parts();
    parts.headers = metadata::request(&parts.headers, &[]);
    parts.version = Version::HTTP_2;
    let request = Request::from_parts(parts, if text { text::decoded(body) } else { body });
    let response = match edge.routes.method(request.uri().path()) {
        None => grpc::system(edge, request).await,
        Some(method) => {
            let call = Call { edge, method, protocol: "grpc-web", verb: "POST", id };
            match codec {
                Codec::Proto => call.make(request).await,
                Codec::Json => grpc::transcoded(&call, request).await,
            }
        }
    };
    remainder.settle(written(response, codec, text)).await
}

/// An error in this protocol.
pub fn error(status: &Status, codec: Codec, text: bool) -> Response<Body> {
    written(status.clone().into_http(), codec, text)
}

/// gRPC's answer as gRPC-Web writes it.
fn written(response: Response<Body>, codec: Codec, text: bool) -> Response<Body> {
    let over = grpc::is_over(response.headers());
    let (mut parts, body) = response.into_parts();
    parts.version = Version::default();
    parts.headers.remove(http::header::TRAILER);
    parts.headers.insert(CONTENT_TYPE, content_type(codec, text));
    let body = match (over, text) {
        (true, _) => Body::empty(),
        (false, false) => Body::new(trailers::Inlined::new(body, |frame| frame)),
        (false, true) => Body::new(trailers::Inlined::new(body, |frame: Bytes| text::encoded(&frame))),
    };
    Response::from_parts(parts, body)
}

fn content_type(codec: Codec, text: bool) -> HeaderValue {
    HeaderValue::from_static(match (codec, text) {
        (Codec::Proto, false) => "application/grpc-web+proto",
        (Codec::Proto, true) => "application/grpc-web-text+proto",
        (Codec::Json, false) => "application/grpc-web+json",
        (Codec::Json, true) => "application/grpc-web-text+json",
    })
}
