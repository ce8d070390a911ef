//! The layers around every call, one file per layer, assembled only here.
//!
//! First the request's headers are set: [`request_id`], [`trace`], [`token`] and the [`deadline`]. Then, from the
//! outside in: [`observe`] ([`metrics`], [`access_log`]), the enforced [`deadline`], [`breaker`], [`retry`] and
//! [`balance`], which sends. A layer holds the next one; all calls share the layers, and a call is one future.

pub(crate) mod access_log;
pub(crate) mod balance;
pub(crate) mod breaker;
pub(crate) mod deadline;
pub(crate) mod metrics;
pub(crate) mod observe;
pub(crate) mod request_id;
pub(crate) mod retry;
pub(crate) mod token;
pub(crate) mod trace;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use flotilla_call::{CallContext, Deadline};
use flotilla_telemetry::Span;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use tonic::body::Body;

use super::balancer::Balancer;
use super::endpoint::Wiring;
use super::methods::{Method, Methods};
use super::outbound::Outbound;
use super::outcome::Failure;
use super::reply::Reply;
use crate::ClientSettings;

/// The default user agent.
static AGENT: HeaderValue = HeaderValue::from_static("flotilla-rpc");

/// A call in progress.
pub(crate) struct Outgoing {
    pub request: Request<Outbound>,
    pub method: Arc<Method>,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
    /// The call's span, until it is begun.
    pub span: Span,
    /// Addresses that earlier attempts were sent to.
    pub tried: Vec<SocketAddr>,
}

/// How a call, or one attempt, ends.
pub(crate) type Outcome = Result<Response<Reply>, Failure>;

/// One step of a call.
pub(crate) trait Layer: Send + Sync + 'static {
    /// Makes the call.
    fn call(&self, call: Outgoing) -> impl Future<Output = Outcome> + Send;
}

/// The whole stack.
pub(crate) type Stack = observe::Observe<deadline::Deadlines<breaker::Breakers<retry::Retry<balance::Balance>>>>;

/// Puts the stack on top of the addresses.
pub(crate) fn compose(balancer: Arc<Balancer>, wiring: Arc<Wiring>) -> Stack {
    let settings = wiring.settings.clone();
    let retry = retry::Retry::new(balance::Balance::new(balancer), &settings, wiring);
    observe::Observe::new(deadline::Deadlines::new(breaker::Breakers::new(retry)))
}

/// Sets a request's headers from the task's context, the channel's token and the method.
pub(crate) fn prepare(
    request: Request<Body>,
    methods: &Methods,
    settings: &ClientSettings,
    authorization: Option<&HeaderValue>,
) -> Outgoing {
    let method = Arc::clone(methods.find(request.uri().path()));
    let (mut parts, body) = request.into_parts();
    let headers = &mut parts.headers;
    let (span, deadline) = CallContext::with(|context| {
        request_id::send_on(context, headers);
        let span = trace::begin(&method, context.traceparent.as_deref(), headers);
        (span, deadline::send_on(context.deadline, &method, settings, headers))
    })
    .unwrap_or_else(|| {
        let span = trace::begin(&method, None, headers);
        (span, deadline::send_on(None, &method, settings, headers))
    });
    token::send_on(authorization, headers);
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, AGENT.clone());
    }
    parts.version = http::Version::HTTP_2;
    let request = Request::from_parts(parts, Outbound::Stream(body));
    Outgoing { request, method, deadline, span, tried: Vec::new() }
}
