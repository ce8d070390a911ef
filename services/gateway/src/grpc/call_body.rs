//! The answer of a call on its way to the client: passed on as it is, and watched for its end.
//!
//! When the service goes away in the middle, the deadline passes or the gateway drains, the client gets a proper status
//! in the trailers instead of a broken connection. Whoever reads this body to its end finds trailers with a status,
//! unless the headers had it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flotilla_rpc::{RpcError, code_name};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::backend::lost;
use crate::edge::{Limits, Place};
use crate::message::Fault;
use crate::metrics::Timer;

/// Where gRPC says how a call ended.
pub const STATUS: &str = "grpc-status";

/// Resolves with the reason when a call has to end early.
pub type Cut = Pin<Box<dyn Future<Output = RpcError> + Send>>;

/// What may end a call before its service does.
pub struct Watch {
    /// Why the request broke, if it did.
    pub fault: Fault,
    /// The deadline, or a drain.
    pub cut: Option<Cut>,
    /// Whether the answer is a stream.
    pub endless: bool,
    /// How errors are told.
    pub limits: Limits,
}

/// The body.
pub struct CallBody {
    inner: Body,
    /// The status, where the headers had it already.
    early: Option<Code>,
    open: Option<(Timer, Place)>,
    fault: Fault,
    cut: Option<Cut>,
    /// Whether `inner` may go on for ever.
    endless: bool,
    limits: Limits,
}

impl CallBody {
    /// Watches `inner`, whose headers were `headers`.
    pub fn new(inner: Body, headers: &HeaderMap, open: (Timer, Place), watch: Watch) -> Self {
        let Watch { fault, cut, endless, limits } = watch;
        Self { inner, early: code_in(headers), open: Some(open), fault, cut, endless, limits }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Option<Status> {
        match self.cut.as_mut()?.as_mut().poll(cx) {
            Poll::Ready(reason) => Some(reason.into()),
            Poll::Pending => None,
        }
    }

    fn end(&mut self, code: Code) {
        if let Some((timer, _place)) = self.open.take() {
            timer.end(code_name(code));
        }
    }

    /// Ends the call with a status of the gateway's own.
    fn break_off(&mut self, status: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        self.end(status.code());
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        let status = self.limits.told(status.clone());
        Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }

    fn broken(&mut self, cause: &str) -> Option<Result<Frame<Bytes>, Status>> {
        let status = self.fault.get().cloned().unwrap_or_else(|| lost(cause).into());
        self.break_off(&status)
    }
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.open.is_none() {
            return Poll::Ready(None);
        }
        // First: a stream that always has something to say must end too.
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
                        // The service saw no more than that its request broke.
                        return Poll::Ready(self.break_off(&status));
                    }
                    self.end(code);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => Poll::Ready(self.broken(status.message())),
            Poll::Ready(None) => match self.early {
                Some(code) => {
                    self.end(code);
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
        // A status in the headers without a body is never polled for. Otherwise the client went away.
        self.end(self.early.unwrap_or(Code::Cancelled));
    }
}

/// The gateway ends its streams; clients resume with another.
pub fn shutting_down() -> RpcError {
    RpcError::new(Code::Unavailable, "SERVER_DRAINING", "the gateway is shutting down")
        .retry_after(std::time::Duration::from_millis(500))
}
