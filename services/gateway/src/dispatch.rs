//! The first decisions about each request: whether it is accepted, which protocol it uses and which method it is for.
//! The method is looked up once and passed on with its protocol; the protocol's own module answers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use flotilla_rpc::RpcError;
use futures::FutureExt as _;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use crate::admission::RequestMemory;
use crate::call::Call;
use crate::client_address::network_of;
use crate::connect;
use crate::edge::Edge;
use crate::end::End;
use crate::grpc;
use crate::grpc_web;
use crate::message::discard_body;
use crate::problem::Problem;
use crate::protocol::{Protocol, Target};
use crate::request_id;
use crate::rest;
use crate::routes::RpcMethod;

/// The protocol of a request, and the method that it is for.
type RequestProtocol<'a> = Protocol<&'a Arc<RpcMethod>>;

/// Answers a request; never fails and survives a panic.
pub async fn handle(edge: Arc<Edge>, mut request: Request<Incoming>) -> Response<Body> {
    if let Some(leave) = edge.cors.preflight(request.method(), request.headers()) {
        return leave;
    }
    let id = edge.ids.settle(request.headers_mut());
    let origin = request.headers().get(http::header::ORIGIN).cloned();
    let method = edge.routes.method(request.uri().path()).map(|method| (method, Target::of(method)));
    let protocol = Protocol::of(request.method(), request.headers(), method);
    let admitted = admit(&edge, &mut request);
    let memory = request.extensions().get::<RequestMemory>().cloned();
    let answering = async {
        match admitted {
            Ok(()) => {
                let address = network_of(request.extensions());
                edge.admission.begin(address, || answer(&edge, protocol, request, &id)).await
            }
            Err(refused) => error(protocol, refused.into(), &id),
        }
    };
    let mut response = match AssertUnwindSafe(answering).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            edge.metrics.panics.inc();
            tracing::error!(request_id = id.to_str().unwrap_or_default(), "panic while answering");
            error(protocol, RpcError::internal().into(), &id)
        }
    };
    response.headers_mut().insert(request_id::HEADER, id);
    edge.cors.allow(origin.as_ref(), response.headers_mut());
    if let Some(memory) = memory {
        response.extensions_mut().insert(memory);
    }
    response
}

/// Checks the limits of a request, cheapest first.
fn admit(edge: &Edge, request: &mut Request<Incoming>) -> Result<(), RpcError> {
    let address = network_of(request.extensions());
    if let Some(address) = address {
        let within = edge.resets.check(&address, 1).and_then(|()| edge.addresses.take(address));
        within.map_err(|wait| edge.admission.refusals.too_often(wait))?;
    }
    let memory = edge.admission.memory.request(address, request.headers())?;
    request.extensions_mut().insert(memory);
    Ok(())
}

/// Passes a request to its protocol's module.
async fn answer(
    edge: &Arc<Edge>,
    protocol: RequestProtocol<'_>,
    request: Request<Incoming>,
    id: &HeaderValue,
) -> Response<Body> {
    match protocol {
        Protocol::Grpc(codec, method) => grpc::handle(edge, request, id, codec, method).await,
        Protocol::GrpcWeb(form, method) => grpc_web::handle(edge, request, id, form, method).await,
        Protocol::ConnectUnary(codec, method) => {
            connect::post(&Call::by_name(edge, method, "connect", "POST", id), request, codec).await
        }
        Protocol::ConnectGet(method) => connect::get(&Call::by_name(edge, method, "connect", "GET", id), request).await,
        Protocol::ConnectStream(codec, method) => {
            connect::stream(&Call::by_name(edge, method, "connect", "POST", id), request, codec).await
        }
        Protocol::Unsupported(why, method) => {
            let verb = if request.method() == Method::GET { "GET" } else { "POST" };
            let response = why.into_response(id.to_str().unwrap_or_default());
            edge.metrics.begin_aside("other", &method.name, verb).end(End::Http(response.status()));
            let (parts, body) = request.into_parts();
            discard_body(parts.version, &parts.headers, body).await;
            response
        }
        Protocol::Rest => rest::handle(edge, request, id).await,
    }
}

/// An error in the protocol's form.
fn error(protocol: RequestProtocol<'_>, status: Status, id: &HeaderValue) -> Response<Body> {
    match protocol {
        Protocol::Grpc(..) => grpc::error(&status),
        Protocol::GrpcWeb(form, _) => grpc_web::error(&status, form),
        Protocol::ConnectUnary(..) | Protocol::ConnectGet(_) => connect::unary_error(&status),
        Protocol::ConnectStream(codec, _) => connect::stream_error(&status, codec, None),
        Protocol::Unsupported(..) | Protocol::Rest => {
            Problem::from(status).into_response(id.to_str().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory that a request may use before it is admitted, in bytes: one connection may open a hundred at once.
    const UNADMITTED: usize = 2048;

    fn size_of_future<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_request_is_small_until_it_is_admitted() {
        let size = size_of_future(handle);
        assert!(size <= UNADMITTED, "{size}");
    }
}
