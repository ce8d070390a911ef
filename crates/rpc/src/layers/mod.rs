//! The layers around every call, unary or stream, one file per layer, assembled only here.
//!
//! From the outside in:
//! 1. [`observe`]: request id ([`request_id`]), span ([`trace`]), counts and times ([`metrics`]), one line
//!    ([`access_log`]).
//! 2. [`panic`]: a panic becomes `INTERNAL`, and the process continues.
//! 3. [`drain`]: streams end once the server shuts down.
//! 4. [`load_shed`]: calls beyond the capacity are refused at once.
//! 5. [`deadline`]: the call's deadline, and its context for outgoing calls.
//! 6. [`auth`]: identifies the caller.
//! 7. [`rate_limit`]: how often the caller may call.
//! 8. [`share`]: how many calls and streams of the caller may be in flight.
//! 9. [`authorise`]: whether the caller may call this method, by the contract's rule.
//! 10. [`message_size`]: how large a message may be on the wire.
//! 11. [`compression`]: gzip in both directions, and how large a message may become.
//! 12. Validation, in the codec of `flotilla-proto`: by the contract's annotations, on the bytes; its
//!     `INVALID_ARGUMENT` passes outward like a handler's own and is counted as such.
//!
//! A unary response isn't wrapped; a streaming one is, by the layers that act until its end.

pub(crate) mod access_log;
pub(crate) mod answered;
pub(crate) mod auth;
pub(crate) mod authorise;
pub(crate) mod compression;
pub(crate) mod deadline;
pub(crate) mod drain;
pub(crate) mod ending;
pub(crate) mod load_shed;
pub(crate) mod message_size;
pub(crate) mod metrics;
pub(crate) mod observe;
pub(crate) mod panic;
pub(crate) mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod share;
pub(crate) mod slot;
pub(crate) mod trace;

use std::sync::Arc;

use http::{Request, Response};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

use crate::methods::{Method, MethodTable};
use crate::routes::Router;
use crate::{AccessRules, RpcError, ServerSettings};
use flotilla_auth::Authenticator;

use authorise::Authorise;
use compression::Compression;
use deadline::Deadlines;
use drain::Drain;
use load_shed::LoadShed;
use message_size::MessageSize;
use observe::Observe;
use panic::CatchPanic;
use rate_limit::RateLimit;
use share::Share;

/// The inner layers, which decide about an admitted call.
type Gate = auth::Auth<RateLimit<Share<Authorise<MessageSize<Compression<Router>>>>>>;
/// The whole stack.
pub(crate) type Stack = Observe<CatchPanic<Drain<LoadShed<Deadlines<Gate>>>>>;

/// The parts of the stack other than the services.
pub(crate) struct Parts<'a> {
    pub settings: &'a ServerSettings,
    pub authenticator: Option<Authenticator>,
    pub rules: &'a AccessRules,
    /// Names of the services behind the router.
    pub services: &'a [String],
    pub registry: &'a Registry,
    /// Cancelled when the drain begins.
    pub draining: CancellationToken,
}

/// Puts the stack around `router`.
pub(crate) fn compose(router: Router, parts: Parts<'_>) -> Stack {
    let Parts { settings, authenticator, rules, services, registry, draining } = parts;
    let metrics = Arc::new(metrics::RpcMetrics::register(registry));
    let methods = Arc::new(MethodTable::new(services, rules, &metrics));
    let guard = authorise::Guard { tokens: authenticator.is_some(), certificates: settings.tls.is_some() };

    let plain = Compression::new(router, settings.max_message_bytes, settings.compress_above_bytes.bytes());
    let sized = MessageSize::new(plain, settings.max_message_bytes);
    let allowed = Authorise::new(sized, guard);
    let shared = Share::new(allowed, settings, Arc::clone(&metrics));
    let limited = RateLimit::new(shared, settings, Arc::clone(&metrics));
    let known = auth::Auth::new(limited, authenticator);
    let timed = Deadlines::new(known, settings.default_deadline.0);
    let shed = LoadShed::new(timed, settings.calls_at_once(), settings.streams_at_once(), Arc::clone(&metrics));
    let drained = Drain::new(shed, draining);
    Observe::new(CatchPanic::new(drained, metrics), methods)
}

/// The method that [`observe`] found for a request.
fn method_of(request: &Request<Body>) -> Option<&Arc<Method>> {
    request.extensions().get::<Arc<Method>>()
}

/// A response that consists only of an error.
fn refuse(error: RpcError) -> Response<Body> {
    Status::from(error).into_http()
}
