//! A call from its start to its end, wherever it ends: counted, logged and recorded in the trace once.

use std::net::SocketAddr;
use std::sync::Arc;

use flotilla_telemetry::Span;
use tokio::time::Instant;
use tonic::Code;

use super::layers::{access_log, trace};
use super::methods::Method;

/// A call that has not ended. If it is dropped before (the caller went away), it counts as cancelled.
pub(crate) struct OpenCall {
    method: Arc<Method>,
    /// The call's span.
    pub span: Span,
    started: Instant,
    code: Code,
}

impl OpenCall {
    /// Records the start of the call.
    pub fn begin(method: Arc<Method>, span: Span) -> Self {
        if let Some(metrics) = &method.metrics {
            metrics.in_flight.inc();
        }
        Self { method, span, started: Instant::now(), code: Code::Cancelled }
    }

    /// Records in the trace which server answered.
    pub fn answered(&self, address: Option<SocketAddr>) {
        if let Some(address) = address.filter(|_| self.span.is_recorded()) {
            self.span.set("server.address", address.ip().to_string());
            self.span.set("server.port", i64::from(address.port()));
        }
    }

    /// Records the end of the call.
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
