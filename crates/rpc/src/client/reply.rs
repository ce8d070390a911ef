//! The body of a response: passed on unchanged, and observed for the call's end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flotilla_call::Deadline;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep_until};
use tonic::{Code, Status};

use super::balancer::Lease;
use super::open_call::OpenCall;
use super::outcome::{code_in, late, status_of};

/// A response's body. Observers of the call's end are notified here.
pub(crate) struct Reply {
    /// The part that was read ahead: usually one piece, which needs no queue.
    first: Option<Bytes>,
    more: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    rest: Option<Incoming>,
    /// The server that responded.
    pub address: SocketAddr,
    /// The call's slot there.
    pub lease: Option<Lease>,
    /// The call's counters.
    pub call: Option<OpenCall>,
    /// When the caller stops waiting.
    pub deadline: Option<Deadline>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Reply {
    pub fn new(body: Incoming, lease: Lease) -> Self {
        Self {
            first: None,
            more: VecDeque::new(),
            trailers: None,
            rest: Some(body),
            address: lease.endpoint().address,
            lease: Some(lease),
            call: None,
            deadline: None,
            timer: None,
        }
    }

    /// Reads a finite body up to `limit` bytes, and returns the status at its end. For a longer one the status stays
    /// unknown.
    ///
    /// # Errors
    /// The connection broke before the end.
    pub async fn gather(&mut self, limit: usize) -> Result<Option<Code>, Status> {
        let mut length = 0;
        while length <= limit {
            match poll_fn(|cx| self.poll_network(cx)).await {
                None => {
                    self.rest = None;
                    break;
                }
                Some(frame) => match frame?.into_data() {
                    Ok(data) => {
                        length += data.len();
                        self.keep(data);
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.rest = None;
                        break;
                    }
                },
            }
        }
        Ok(self.trailers.as_ref().and_then(code_in))
    }

    fn keep(&mut self, data: Bytes) {
        if self.first.is_none() && self.more.is_empty() {
            self.first = Some(data);
        } else {
            self.more.push_back(data);
        }
    }

    /// The status in the trailers, if [`gather`](Self::gather) has read them.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// The server has accepted the call: whatever happens later, it is reachable.
    pub fn begun(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.ended(Code::Ok);
        }
    }

    /// Notifies all observers of the call how it ended.
    pub fn ended(&mut self, code: Code) {
        if let Some(mut lease) = self.lease.take() {
            lease.ended(code);
        }
        if let Some(call) = self.call.take() {
            call.end(code);
        }
    }

    /// The next frame from the server.
    fn poll_network(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.rest else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if polled.is_pending()
            && let Some(deadline) = self.deadline
        {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.0)));
            ready!(timer.as_mut().poll(cx));
            self.rest = None;
            self.ended(Code::DeadlineExceeded);
            return Poll::Ready(Some(Err(late())));
        }
        let frame = ready!(polled).map(|frame| frame.map_err(status_of));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.ended(code_in(trailers).unwrap_or(Code::Unknown));
                }
            }
            Some(Err(status)) => self.ended(status.code()),
            None => self.ended(Code::Unknown),
        }
        Poll::Ready(frame)
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Some(data) = this.first.take().or_else(|| this.more.pop_front()) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        this.poll_network(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none()
            && self.more.is_empty()
            && self.trailers.is_none()
            && self.rest.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
