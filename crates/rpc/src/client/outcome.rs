//! How an attempt without a response ended: the caller's error, and whether the server may have received the request.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flotilla_call::Deadline;
use http::{HeaderMap, Request, Response, StatusCode};
use tonic::{Code, Status};

use super::outbound::Outbound;
use crate::{Details, RpcError, reasons};

/// The retry delay for a call if all connections are full.
const RETRY_AFTER: Duration = Duration::from_millis(500);

const STATUS_HEADER: &str = "grpc-status";

/// An attempt, or a call, without a response.
pub(crate) struct Failure {
    /// The caller's status. Its source is set where the transport failed and not the server.
    pub status: Status,
    /// Whether the request was sent.
    pub sent: Sent,
    /// The address that it was sent to.
    pub address: Option<SocketAddr>,
}

/// Whether a request was sent.
pub(crate) enum Sent {
    /// Provably not; the request, if it came back.
    Never(Option<Box<Request<Outbound>>>),
    /// Perhaps, and it may have been processed.
    Maybe,
}

impl Failure {
    /// No address could be connected to.
    pub fn unreachable(cause: Arc<io::Error>, request: Request<Outbound>) -> Self {
        let status = transport("UNREACHABLE", "the server can't be reached", cause);
        Self { status, sent: Sent::Never(Some(Box::new(request))), address: None }
    }

    /// All connections are full.
    pub fn full() -> Self {
        let error = RpcError::new(Code::ResourceExhausted, "OVERLOADED", "the maximum number of calls is in flight");
        Self::refused(error.retry_after(RETRY_AFTER).into())
    }

    /// The connection broke, or the server reset the call. `request` is the request if the connection hasn't sent it.
    pub fn broken(error: hyper::Error, request: Option<Request<Outbound>>, address: SocketAddr) -> Self {
        let refused = stream_error(&error).is_some_and(is_refusal);
        let sent = match request {
            Some(request) => Sent::Never(Some(Box::new(request))),
            None if refused => Sent::Never(None),
            None => Sent::Maybe,
        };
        Self { status: status_of(error), sent, address: Some(address) }
    }

    /// The call's own deadline passed.
    pub fn late() -> Self {
        Self { status: late(), sent: Sent::Maybe, address: None }
    }

    /// The call wasn't made.
    pub fn refused(status: Status) -> Self {
        Self { status, sent: Sent::Never(None), address: None }
    }
}

/// The status in headers or trailers.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS_HEADER).map(|value| Code::from_bytes(value.as_bytes()))
}

/// The status in a response's headers, if there is one: gRPC's own, or one for a response that isn't gRPC.
pub(crate) fn head_code<B>(response: &Response<B>) -> Option<Code> {
    code_in(response.headers()).or(match response.status() {
        StatusCode::OK => None,
        StatusCode::BAD_REQUEST => Some(Code::Internal),
        StatusCode::UNAUTHORIZED => Some(Code::Unauthenticated),
        StatusCode::FORBIDDEN => Some(Code::PermissionDenied),
        StatusCode::NOT_FOUND => Some(Code::Unimplemented),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Some(Code::Unavailable),
        _ => Some(Code::Unknown),
    })
}

/// The status in the headers as a verdict on the server: a server that refuses on purpose is healthy and must not be
/// ejected or open the breaker.
pub(crate) fn head_verdict<B>(response: &Response<B>) -> Option<Code> {
    let code = head_code(response)?;
    let on_purpose = code == Code::Unavailable
        && details_in(response.headers())
            .and_then(|details| details.reason)
            .is_some_and(|reason| reasons::ON_PURPOSE.contains(&reason.as_str()));
    Some(if on_purpose { Code::FailedPrecondition } else { code })
}

/// The details of an error, if the headers carry any.
pub(crate) fn details_in(headers: &HeaderMap) -> Option<Details> {
    let encoded = headers.get("grpc-status-details-bin")?.as_bytes();
    let unpadded = encoded.split(|byte| *byte == b'=').next()?;
    let details = STANDARD_NO_PAD.decode(unpadded).ok()?;
    Some(Details::of(&Status::with_details(Code::Unavailable, "", details.into())))
}

/// `DEADLINE_EXCEEDED`.
pub(crate) fn late() -> Status {
    RpcError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed").into()
}

/// Whether `deadline` has passed.
pub(crate) fn is_late(deadline: Option<Deadline>) -> bool {
    deadline.is_some_and(|deadline| deadline.remaining().is_zero())
}

/// The caller's status for an error of the transport. The cause, with its addresses, is in the source alone.
pub(crate) fn status_of(error: hyper::Error) -> Status {
    if let Some(own) = find::<Status>(&error) {
        return own.clone();
    }
    transport("CONNECTION_LOST", "the connection to the server broke", Arc::new(error))
}

fn transport(reason: &'static str, message: &'static str, cause: Arc<dyn Error + Send + Sync>) -> Status {
    let mut status = Status::from(RpcError::new(Code::Unavailable, reason, message));
    status.set_source(cause);
    status
}

fn stream_error(error: &hyper::Error) -> Option<&h2::Error> {
    find(error)
}

/// In HTTP/2 (RFC 9113, 8.7), a refused stream was not processed; nor was one after the last stream that a graceful
/// GOAWAY names (6.8): h2 ends those, and no others, with its GOAWAY.
fn is_refusal(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let beyond_the_last = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    error.is_remote() && (refused || beyond_the_last)
}

/// An error of type `E` among the causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::verdict::is_fault;

    #[test]
    fn a_server_that_refuses_on_purpose_is_not_at_fault() {
        let verdict = |reason| {
            let status = Status::from(RpcError::new(Code::Unavailable, reason, "not now"));
            head_verdict(&status.into_http::<()>()).is_some_and(is_fault)
        };
        assert!(!verdict("ORDERS_PAUSED"));
        assert!(verdict("DATABASE_UNAVAILABLE"));
    }
}
