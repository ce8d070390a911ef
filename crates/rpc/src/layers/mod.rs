//! The stack around every call, one file a layer, put together here and nowhere else.
//!
//! From the outside in: [`observe`] (request id, span, metrics, access log), [`panic`], [`load_shed`], [`deadline`],
//! [`auth`], [`message_size`]. A unary response isn't wrapped; a streaming one is, to see its end.

pub(crate) mod access_log;
pub(crate) mod auth;
pub(crate) mod deadline;
pub(crate) mod load_shed;
pub(crate) mod message_size;
pub(crate) mod metrics;
pub(crate) mod observe;
pub(crate) mod panic;
pub(crate) mod request_id;
pub(crate) mod trace;

use std::sync::Arc;

use http::{Request, Response};
use prometheus::Registry;
use tonic::Status;
use tonic::body::Body;

use crate::methods::{Method, MethodTable};
use crate::routes::Router;
use crate::{AccessRules, Authenticator, RpcError, ServerSettings};

/// The whole stack.
pub(crate) type Stack = observe::Observe<
    panic::CatchPanic<load_shed::LoadShed<deadline::Deadlines<auth::Auth<message_size::MessageSize<Router>>>>>,
>;

/// Puts the stack around `router`.
pub(crate) fn compose(
    router: Router,
    settings: &ServerSettings,
    authenticator: Option<Authenticator>,
    rules: &AccessRules,
    services: &[String],
    registry: &Registry,
) -> Stack {
    let metrics = Arc::new(metrics::RpcMetrics::register(registry));
    let methods = Arc::new(MethodTable::new(services, rules, &metrics));
    let sized = message_size::MessageSize::new(router, settings.max_message_bytes);
    let authenticated = auth::Auth::new(sized, authenticator);
    let timed = deadline::Deadlines::new(authenticated, settings.default_deadline.0);
    let shed = load_shed::LoadShed::new(timed, settings.max_calls, settings.max_streams, Arc::clone(&metrics));
    let caught = panic::CatchPanic::new(shed, metrics);
    observe::Observe::new(caught, methods)
}

/// The method that [`observe`] found for a request.
fn method_of(request: &Request<Body>) -> Option<&Arc<Method>> {
    request.extensions().get::<Arc<Method>>()
}

/// A response that is nothing but an error.
fn refuse(error: RpcError) -> Response<Body> {
    Status::from(error).into_http()
}
