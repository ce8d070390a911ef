//! The answer of a call on its way to the client: passed on as it is, and watched for its end.
//!
//! When the service goes away in the middle, or the gateway drains, the client gets a proper status in the trailers
//! instead of a broken connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flotilla_rpc::{RpcError, code_name};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::backend::lost;
use crate::edge::Place;
use crate::metrics::Timer;

/// Where gRPC says how a call ended.
const STATUS: &str = "grpc-status";

/// The body.
pub struct CallBody {
    inner: Body,
    /// The status, where the headers had it already.
    early: Option<Code>,
    open: Option<(Timer, Place)>,
    drain: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl CallBody {
    /// Watches `inner`, whose headers were `headers`; once `drain` is cancelled the stream ends.
    pub fn new(inner: Body, headers: &HeaderMap, timer: Timer, place: Place, drain: Option<CancellationToken>) -> Self {
        Self {
            inner,
            early: code_in(headers),
            open: Some((timer, place)),
            drain: drain.map(|drain| Box::pin(drain.cancelled_owned())),
        }
    }

    fn end(&mut self, code: Code) {
        if let Some((timer, _place)) = self.open.take() {
            timer.end(code_name(code));
        }
    }

    /// Ends the call with a status of the gateway's own.
    fn break_off(&mut self, error: RpcError) -> Option<Result<Frame<Bytes>, Status>> {
        self.end(error.code());
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        let status = Status::from(error);
        Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
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
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let code = code_in(trailers).unwrap_or(Code::Unknown);
                    self.end(code);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => Poll::Ready(self.break_off(lost(status.message()))),
            Poll::Ready(None) => match self.early {
                Some(code) => {
                    self.end(code);
                    Poll::Ready(None)
                }
                None => Poll::Ready(self.break_off(lost("ended without a status"))),
            },
            Poll::Pending => match self.drain.as_mut().map(|drain| drain.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(self.break_off(shutting_down())),
                Some(Poll::Pending) | None => Poll::Pending,
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
    RpcError::new(Code::Unavailable, "SHUTTING_DOWN", "the gateway is shutting down")
        .retry_after(std::time::Duration::from_millis(500))
}
