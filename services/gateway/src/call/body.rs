//! The response of a call on its way to the client: passed on unchanged, and observed until its end.
//!
//! If the connection to the service is lost, the deadline passes or the gateway drains, the body ends with an error
//! that says so, as clients get it. A reader of the whole body finds trailers with a status or such an error, unless
//! the status was in the headers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flotilla_rpc::{Details, RpcError};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::admission::Slot;
use crate::backend::lost;
use crate::edge::Limits;
use crate::end::End;
use crate::message::Fault;
use crate::metrics::Timer;

/// The header with gRPC's status code.
pub const STATUS: &str = "grpc-status";

/// Resolves with the reason when a call has to end early.
pub type Cut = Pin<Box<dyn Future<Output = RpcError> + Send>>;

/// What may end a call before its service does.
pub struct Watch {
    /// Why the request was aborted, if it was.
    pub fault: Fault,
    /// The deadline, or a drain.
    pub cut: Option<Cut>,
    /// Whether the response is a stream.
    pub endless: bool,
    /// How errors are sent.
    pub limits: Limits,
}

/// The body.
pub struct CallBody {
    inner: Body,
    /// The status, if it was in the headers, and its reason.
    early: Option<(Code, Option<String>)>,
    open: Option<(Option<Timer>, Slot)>,
    fault: Fault,
    cut: Option<Cut>,
    /// Whether `inner` may never end.
    endless: bool,
    limits: Limits,
}

impl CallBody {
    /// Watches `inner`, whose headers were `headers`.
    pub fn new(inner: Body, headers: &HeaderMap, slot: Slot, watch: Watch) -> Self {
        let Watch { fault, cut, endless, limits } = watch;
        let early = code_in(headers).map(|code| (code, reason_in(code, headers)));
        Self { inner, early, open: Some((None, slot)), fault, cut, endless, limits }
    }

    /// Stops `timer` when the response ends.
    pub fn time(&mut self, timer: Timer) {
        if let Some((open, _place)) = &mut self.open {
            *open = Some(timer);
        }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        match self.cut.as_mut()?.as_mut().poll(cx) {
            Poll::Ready(reason) => Some(reason.into()),
            Poll::Pending => None,
        }
    }

    fn end(&mut self, code: Code, reason: Option<&str>) {
        if let Some((Some(timer), _place)) = self.open.take() {
            timer.end_because(End::Grpc(code), reason);
        }
    }

    /// Ends the call with a status of the gateway's own.
    fn break_off(&mut self, status: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        self.end(status.code(), reason_of(status).as_deref());
        self.inner = Body::empty();
        Some(Err(self.limits.client_status(status.clone())))
    }

    fn broken(&mut self, cause: &str) -> Option<Result<Frame<Bytes>, Status>> {
        let status = self.fault.get().cloned().unwrap_or_else(|| lost(cause).into());
        self.break_off(&status)
    }
}

/// The reason beside a status.
pub fn reason_of(status: &Status) -> Option<String> {
    Details::of(status).reason
}

/// The same from headers or trailers, where it affects what is counted.
fn reason_in(code: Code, headers: &HeaderMap) -> Option<String> {
    matches!(code, Code::ResourceExhausted | Code::Unavailable)
        .then(|| Status::from_header_map(headers).as_ref().and_then(reason_of))
        .flatten()
}

/// The code in headers or trailers.
pub fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.open.is_none() {
            return Poll::Ready(None);
        }
        // First: a stream that is always ready must end too.
        if self.endless
            && let Some(reason) = self.poll_cut(cx)
        {
            return Poll::Ready(self.break_off(&reason));
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let code = code_in(trailers).unwrap_or(Code::Unknown);
                    if code != Code::Ok
                        && let Some(status) = self.fault.get().cloned()
                    {
                        // The service only sees that the request was aborted.
                        return Poll::Ready(self.break_off(&status));
                    }
                    self.end(code, reason_in(code, trailers).as_deref());
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => Poll::Ready(self.broken(status.message())),
            Poll::Ready(None) => match self.early.clone() {
                Some((code, reason)) => {
                    self.end(code, reason.as_deref());
                    Poll::Ready(None)
                }
                None => Poll::Ready(self.broken("ended without a status")),
            },
            Poll::Pending if self.endless => Poll::Pending,
            Poll::Pending => match self.poll_cut(cx) {
                Some(reason) => Poll::Ready(self.break_off(&reason)),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_some() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for CallBody {
    fn drop(&mut self) {
        // A response with the status in its headers and no body is never polled. Otherwise the client went away.
        let (code, reason) = self.early.take().unwrap_or((Code::Cancelled, None));
        self.end(code, reason.as_deref());
    }
}

/// The gateway ends its streams; clients resume with another.
pub fn shutting_down() -> RpcError {
    RpcError::new(Code::Unavailable, "SERVER_DRAINING", "the gateway is shutting down")
        .retry_after(std::time::Duration::from_millis(500))
}
