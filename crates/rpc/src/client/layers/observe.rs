//! The outermost layer: counts and logs each call at its end, wherever that comes: in the head of the response, in its
//! trailers, by a failure or by the caller's going away.

use std::sync::Arc;

use flotilla_telemetry::Span;
use tokio::time::Instant;
use tonic::Code;

use super::{Layer, Outcome, Outgoing, access_log, trace};
use crate::client::methods::Method;
use crate::client::outcome::head_code;
use crate::client::reply::code_in;

/// The layer.
pub(crate) struct Observe<S> {
    inner: S,
}

impl<S> Observe<S> {
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Layer> Layer for Observe<S> {
    async fn call(&self, mut call: Outgoing) -> Outcome {
        let open = OpenCall::begin(Arc::clone(&call.method), std::mem::take(&mut call.span));
        let mut outcome = open.span.within(self.inner.call(call)).await;
        open.answered(&outcome);
        match &mut outcome {
            Err(failure) => open.end(failure.status.code()),
            Ok(response) => {
                let known = head_code(response).or_else(|| response.body().trailers().and_then(code_in));
                match known {
                    Some(code) => open.end(code),
                    None => response.body_mut().call = Some(open),
                }
            }
        }
        outcome
    }
}

/// A call that has not ended. Dropped unfinished (the caller went away), it counts as cancelled.
pub(crate) struct OpenCall {
    method: Arc<Method>,
    span: Span,
    started: Instant,
    code: Code,
}

impl OpenCall {
    fn begin(method: Arc<Method>, span: Span) -> Self {
        if let Some(metrics) = &method.metrics {
            metrics.in_flight.inc();
        }
        Self { method, span, started: Instant::now(), code: Code::Cancelled }
    }

    /// Says in the trace who answered, or didn't.
    fn answered(&self, outcome: &Outcome) {
        let address = match outcome {
            _ if !self.span.is_recorded() => None,
            Ok(response) => Some(response.body().address),
            Err(failure) => failure.address,
        };
        if let Some(address) = address {
            self.span.set("server.address", address.ip().to_string());
            self.span.set("server.port", i64::from(address.port()));
        }
    }

    /// The call has ended.
    pub fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let _traced = self.span.enter();
        if let Some(metrics) = &self.method.metrics {
            metrics.in_flight.dec();
            metrics.ended(self.code, took);
        }
        access_log::ended(&self.method.name, self.code, took);
        trace::ended(&self.span, self.code);
    }
}
