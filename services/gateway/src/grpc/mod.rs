//! gRPC on the public port: annotated methods are passed on to their service as they are, nothing else is there but
//! the gateway's own health and the reflection of the public API.
//!
//! A message is not decoded: a call costs a look into the route table, a look into the token cache and the forwarding
//! of headers and body. The exception are calls that make cached responses stale: their requests are read for the
//! name of what they change.

mod call_body;
mod message;
mod system;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_rpc::code_name;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use prost_reflect::DynamicMessage;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use crate::backend::{exceeded, lost, settle};
use crate::edge::{Edge, Place};
use crate::problem::Problem;
use crate::routes::RpcMethod;
use crate::trace;

pub use system::System;

use call_body::CallBody;
use message::{Limited, PREFIX, collect};

/// What a unary call gets on top of the longest deadline, so that the service's own answer comes first.
const SLACK: Duration = Duration::from_millis(250);

/// Whether a request speaks gRPC: `application/grpc`, alone or with an encoding (`+proto`) or parameters.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let rest = value.as_bytes().strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// Answers a gRPC request.
pub async fn handle(edge: &Arc<Edge>, request: Request<Incoming>, id: &HeaderValue) -> Response<Body> {
    if request.version() != Version::HTTP_2 {
        let problem = Problem::bad_request("HTTP2_REQUIRED", "gRPC needs HTTP/2");
        return problem.into_response(id.to_str().unwrap_or_default());
    }
    let Some(method) = edge.routes.method(request.uri().path()) else {
        return edge.system.call(request).await;
    };
    let timer = edge.metrics.begin("grpc", &method.name, "POST");
    let span = trace::span(&method.name, id, request.headers());
    match forward(edge, method, request).instrument(span).await {
        Ok((response, place)) => {
            let drain = method.server_streaming.then(|| edge.draining.clone());
            let (parts, body) = response.into_parts();
            let body = CallBody::new(body, &parts.headers, timer, place, drain);
            Response::from_parts(parts, Body::new(body))
        }
        Err(status) => {
            timer.end(code_name(status.code()));
            status.into_http()
        }
    }
}

/// Passes a call on and returns the beginning of its answer, with the place that it holds until its end.
async fn forward(
    edge: &Arc<Edge>,
    method: &RpcMethod,
    request: Request<Incoming>,
) -> Result<(Response<Body>, Place), Status> {
    edge.admit(method.access, request.headers()).await?;
    let place = edge.place(method.server_streaming || method.client_streaming)?;
    let (mut parts, body) = request.into_parts();
    trace::pass_on(&mut parts.headers);
    parts.extensions = http::Extensions::new();
    let limit = edge.limits.max_body;
    if method.client_streaming {
        let request = Request::from_parts(parts, Body::new(Limited::new(body, limit)));
        return Ok((call(edge, method, request).await?, place));
    }
    let unary = async {
        let message = collect(body, limit).await?;
        let stale = stale_key(edge, method, &message);
        let request = Request::from_parts(parts, Body::new(Full::new(message)));
        let response = call(edge, method, request).await;
        if let Some(key) = stale {
            edge.cache.forget(&key).await;
        }
        response
    };
    // A stream's own deadline is in its headers; here it is about how long its beginning may take.
    let response = timeout(edge.limits.deadline + SLACK, unary).await.map_err(|_| exceeded())??;
    Ok((response, place))
}

async fn call(edge: &Edge, method: &RpcMethod, request: Request<Body>) -> Result<Response<Body>, Status> {
    let channel = edge.backends.channel(method)?;
    channel.oneshot(request).await.map_err(|error| match Status::try_from_error(Box::new(error)) {
        Ok(status) => settle(status),
        Err(error) => lost(error).into(),
    })
}

/// The name of the kept response that this request makes stale. A compressed or broken message names none: no service
/// accepts it.
fn stale_key(edge: &Edge, method: &RpcMethod, framed: &Bytes) -> Option<String> {
    if !edge.cache.is_change(method) || framed.first() != Some(&0) {
        return None;
    }
    let message = DynamicMessage::decode(method.input.clone(), framed.get(PREFIX..)?).ok()?;
    edge.cache.stale_key(method, &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for (value, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_grpc(&headers), grpc, "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
