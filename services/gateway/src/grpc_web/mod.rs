//! gRPC-Web on the public port, over HTTP/1.1 and HTTP/2: gRPC with its trailers in the body's last frame and, in its
//! text form, all of it in base64. Protobuf messages pass undecoded, compressed or not.

mod text;
mod trailers;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use crate::call::Call;
use crate::edge::Edge;
use crate::grpc;
use crate::message::{Codec, lend};
use crate::metadata;
use crate::protocol::WebForm;
use crate::routes::RpcMethod;

/// Answers a gRPC-Web request for a public method, or for one of the gateway's own services.
pub async fn handle(
    edge: &Arc<Edge>,
    request: Request<Incoming>,
    id: &HeaderValue,
    form: WebForm,
    method: Option<&Arc<RpcMethod>>,
) -> Response<Body> {
    let (request, remainder) = lend(request);
    let (mut parts, body) = request.into_parts();
    parts.headers = metadata::request(&parts.headers, &[]);
    parts.version = Version::HTTP_2;
    let request = Request::from_parts(parts, if form.text { text::decoded(body) } else { body });
    let response = match method {
        None => grpc::system(edge, request).await,
        Some(method) => {
            let call = Call::by_name(edge, method, "grpc-web", "POST", id);
            match form.codec {
                Codec::Proto => grpc::written(call.make(request).await),
                Codec::Json => grpc::transcoded(&call, request).await,
            }
        }
    };
    remainder.settle(written(response, form)).await
}

/// An error in this protocol.
pub fn error(status: &Status, form: WebForm) -> Response<Body> {
    written(grpc::error(status), form)
}

/// A gRPC response in gRPC-Web's form.
fn written(response: Response<Body>, form: WebForm) -> Response<Body> {
    let over = grpc::is_over(response.headers());
    let (mut parts, body) = response.into_parts();
    parts.version = Version::default();
    parts.headers.remove(http::header::TRAILER);
    parts.headers.insert(CONTENT_TYPE, content_type(form));
    let body = match (over, form.text) {
        (true, _) => Body::empty(),
        (false, false) => Body::new(trailers::TrailersInBody::new(body, |frame| frame)),
        (false, true) => Body::new(trailers::TrailersInBody::new(body, |frame: Bytes| text::encoded(&frame))),
    };
    Response::from_parts(parts, body)
}

fn content_type(form: WebForm) -> HeaderValue {
    HeaderValue::from_static(match (form.codec, form.text) {
        (Codec::Proto, false) => "application/grpc-web+proto",
        (Codec::Proto, true) => "application/grpc-web-text+proto",
        (Codec::Json, false) => "application/grpc-web+json",
        (Codec::Json, true) => "application/grpc-web-text+json",
    })
}
