//! Refuses calls beyond the maximum number in flight, at once and with a retry delay. A refused call has no effect.
//!
//! A call takes its slot when its request has arrived. Until then it counts against a bounded number of arriving
//! requests, of which the oldest is evicted when there are too many ([`PendingBodies`]). A stream of requests takes its
//! slot when it begins.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::Service;

use super::method_of;
use super::metrics::RpcMetrics;
use super::slot::SlotFuture;
use crate::{PendingBodies, PendingBody, RpcError};

/// The retry delay for a refused client.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct LoadShed<S> {
    inner: S,
    bounds: Arc<Bounds>,
}

/// The bounds on calls and streams in flight.
#[derive(Debug)]
struct Bounds {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    pending: Arc<PendingBodies>,
    metrics: Arc<RpcMetrics>,
}

impl Bounds {
    fn take(&self, stream: bool) -> Result<OwnedSemaphorePermit, RpcError> {
        let places = if stream { &self.streams } else { &self.calls };
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            self.metrics.shed.inc();
            RpcError::new(Code::ResourceExhausted, "OVERLOADED", "the server is busy").retry_after(RETRY_AFTER)
        })
    }

    fn displaced(&self) -> RpcError {
        self.metrics.limited.inc();
        let text = "the request arrived too slowly and was evicted";
        RpcError::new(Code::ResourceExhausted, "CALLER_LIMIT", text)
            .quota("address", "requests whose body has not arrived")
            .retry_after(RETRY_AFTER)
    }
}

impl<S> LoadShed<S> {
    pub fn new(inner: S, calls: usize, streams: usize, metrics: Arc<RpcMetrics>) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let (calls, streams, pending) = (places(calls), places(streams), PendingBodies::new(calls));
        Self { inner, bounds: Arc::new(Bounds { calls, streams, pending, metrics }) }
    }
}

/// The slot of a call, once it has one.
pub(crate) type Place = Arc<OnceLock<OwnedSemaphorePermit>>;

impl<S> Service<Request<Body>> for LoadShed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = SlotFuture<S::Future, Place>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(method) = method_of(&request).filter(|method| !method.system).cloned() else {
            return SlotFuture::without(self.inner.call(request));
        };
        let (place, streaming) = (Place::default(), method.rule.server_streaming);
        if method.rule.client_streaming {
            match self.bounds.take(true) {
                Ok(permit) => drop(place.set(permit)),
                Err(error) => return SlotFuture::refused(error),
            }
            return SlotFuture::at(place, self.inner.call(request), streaming);
        }
        let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        let arriving = Arriving {
            bounds: Arc::clone(&self.bounds),
            place: Arc::clone(&place),
            stream: method.is_stream(),
            peer: peer.map(|address| address.ip()),
            pending_body: None,
        };
        let request = request.map(|inner| Body::new(Received { inner, arriving }));
        SlotFuture::at(place, self.inner.call(request), streaming)
    }
}

/// The state of a request that is arriving.
struct Arriving {
    bounds: Arc<Bounds>,
    place: Place,
    stream: bool,
    peer: Option<std::net::IpAddr>,
    pending_body: Option<PendingBody>,
}

impl Arriving {
    /// Resolves if the request is evicted before it has arrived.
    fn poll_displaced(&mut self, cx: &mut Context<'_>) -> Poll<RpcError> {
        let pending_body = self.pending_body.get_or_insert_with(|| self.bounds.pending.enter(self.peer));
        ready!(pending_body.poll_displaced(cx));
        self.pending_body = None;
        Poll::Ready(self.bounds.displaced())
    }

    /// The request has arrived: takes its slot.
    fn received(&mut self) -> Result<(), RpcError> {
        self.pending_body = None;
        if self.place.get().is_none() {
            // Nothing else sets it.
            let _ = self.place.set(self.bounds.take(self.stream)?);
        }
        Ok(())
    }
}

pin_project! {
    /// The body of a request; when it ends the call takes its slot.
    struct Received {
        #[pin]
        inner: Body,
        arriving: Arriving,
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) else {
            return this.arriving.poll_displaced(cx).map(|error| Some(Err(error.into())));
        };
        let over = frame.is_none() || this.inner.is_end_stream();
        if over && let Err(error) = this.arriving.received() {
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // The end must be polled, because the slot is taken there.
        self.arriving.place.get().is_some() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
