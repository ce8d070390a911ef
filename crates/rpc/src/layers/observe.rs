//! The outermost layer: finds the method, gives the call its request id and span, and counts and logs its end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flotilla_telemetry::{SampledTrace, ServiceScope};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use tracing::Span;

use super::request_id::{REQUEST_ID_HEADER, RequestIds};
use super::{access_log, trace};
use crate::RequestId;
use crate::connection_use::{CallInUse, ConnectionUse};
use crate::methods::{Method, MethodTable};

const STATUS_HEADER: &str = "grpc-status";

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Observe<S> {
    inner: S,
    methods: Arc<MethodTable>,
    ids: Arc<RequestIds>,
    /// The server's service: connections' tasks don't inherit its scope.
    service: ServiceScope,
}

impl<S> Observe<S> {
    pub fn new(inner: S, methods: Arc<MethodTable>) -> Self {
        Self { inner, methods, ids: Arc::new(RequestIds::new()), service: ServiceScope::current() }
    }
}

impl<S> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = Arc::clone(self.methods.find(request.uri().path()));
        let id = self.ids.of(request.headers());
        let scope = trace::scope(&method, &id);
        let span = self.service.run(|| trace::span(&method, &id, request.headers()));
        request.extensions_mut().insert(Arc::clone(&method));
        request.extensions_mut().insert(id.clone());
        let used = request.extensions_mut().remove::<Arc<ConnectionUse>>();
        let call = OpenCall::begin(method, self.service, scope, span, used.as_ref());
        let inner = call.within(|| self.inner.call(request));
        Observed { inner, call: Some(call), id }
    }
}

/// A call that has not ended. If it is dropped before (the client went away), it counts as cancelled.
#[derive(Debug)]
struct OpenCall {
    method: Arc<Method>,
    service: ServiceScope,
    /// The span of its log lines.
    scope: Span,
    /// The span of its trace.
    span: flotilla_telemetry::Span,
    started: Instant,
    code: Code,
    /// Keeps its connection marked as in use.
    _used: Option<CallInUse>,
}

impl OpenCall {
    fn begin(
        method: Arc<Method>,
        service: ServiceScope,
        scope: Span,
        span: flotilla_telemetry::Span,
        connection: Option<&Arc<ConnectionUse>>,
    ) -> Self {
        method.metrics.in_flight.inc();
        let used = connection.map(ConnectionUse::begin);
        Self { method, service, scope, span, started: Instant::now(), code: Code::Cancelled, _used: used }
    }

    /// One step of the call.
    fn within<R>(&self, step: impl FnOnce() -> R) -> R {
        let _traced = self.span.enter();
        self.service.run(|| self.scope.in_scope(step))
    }

    fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        // Metrics and log lines of the end belong to the trace too.
        let _traced = self.span.enter();
        self.method.metrics.in_flight.dec();
        self.method.metrics.ended(self.code, took, SampledTrace::current());
        self.service.run(|| access_log::ended(&self.scope, self.code, took));
        trace::ended(&self.span, self.code);
    }
}

pin_project! {
    /// The call as it runs, within its span.
    pub(crate) struct Observed<F> {
        #[pin]
        inner: F,
        call: Option<OpenCall>,
        id: RequestId,
    }
}

impl<F> Future for Observed<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let polled = match this.call.as_ref() {
            Some(call) => call.within(|| inner.poll(cx)),
            None => inner.poll(cx),
        };
        let Ok(mut response) = ready!(polled);
        response.headers_mut().insert(&REQUEST_ID_HEADER, this.id.header().clone());
        let Some(call) = this.call.take() else { return Poll::Ready(Ok(response)) };
        match code_in(response.headers()) {
            Some(code) => call.end(code),
            // A unary call has succeeded when its response is ready; a stream has its status at its end.
            None if !call.method.rule.server_streaming => call.end(Code::Ok),
            None => response = response.map(|inner| Body::new(ObservedBody { inner, call: Some(call) })),
        }
        Poll::Ready(Ok(response))
    }
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS_HEADER).map(|value| Code::from_bytes(value.as_bytes()))
}

pin_project! {
    /// The body of a stream: sees the status in the trailers.
    struct ObservedBody {
        #[pin]
        inner: Body,
        call: Option<OpenCall>,
    }
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let inner = this.inner;
        let frame = ready!(match this.call.as_ref() {
            Some(call) => call.within(|| inner.poll_frame(cx)),
            None => inner.poll_frame(cx),
        });
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().map(|trailers| code_in(trailers).unwrap_or(Code::Unknown)),
            Some(Err(status)) => Some(status.code()),
            None => Some(Code::Unknown),
        };
        if let (Some(code), Some(call)) = (code, this.call.take_if(|_| code.is_some())) {
            call.end(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
