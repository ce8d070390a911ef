//! Consults the breaker of the called service, and reports to it how the call ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};

use super::{Layer, Outcome, Outgoing};
use crate::RpcError;
use crate::client::outcome::{Failure, Sent, code_in, head_verdict};

/// The layer.
pub(crate) struct Breakers<S> {
    inner: S,
}

impl<S> Breakers<S> {
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Layer> Layer for Breakers<S> {
    async fn call(&self, call: Outgoing) -> Outcome {
        let Some(breaker) = &call.method.breaker else { return self.inner.call(call).await };
        let mut ticket = match breaker.admit(Instant::now(), call.deadline) {
            Ok(ticket) => ticket,
            Err(again) => {
                if let Some(metrics) = &call.method.metrics {
                    metrics.broken.inc();
                }
                return Err(Failure::refused(open(again)));
            }
        };
        let outcome = self.inner.call(call).await;
        match &outcome {
            Err(Failure { sent: Sent::Never(_), .. }) => {}
            Err(failure) => ticket.ended(failure.status.code()),
            Ok(response) => {
                let code = head_verdict(response).or_else(|| response.body().trailers().and_then(code_in));
                // A stream that has begun is a success; so is a response of which only the end is missing.
                ticket.ended(code.unwrap_or(Code::Ok));
            }
        }
        outcome
    }
}

fn open(again: Duration) -> Status {
    let error =
        RpcError::new(Code::Unavailable, "CIRCUIT_OPEN", "the service keeps failing and isn't called for a while");
    let mut status = Status::from(error.retry_after(again));
    // The status doesn't come from the server.
    status.set_source(Arc::new(std::io::Error::other("circuit breaker is open")));
    status
}
