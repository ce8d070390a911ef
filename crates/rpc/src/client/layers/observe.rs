//! The outermost layer: counts and logs each call at its end, whether that is in the response's headers, in its
//! trailers, by a failure, or by the caller going away.

use std::sync::Arc;

use super::{Layer, Outcome, Outgoing};
use crate::client::open_call::OpenCall;
use crate::client::outcome::{code_in, head_code};

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
        open.answered(match &outcome {
            Ok(response) => Some(response.body().address),
            Err(failure) => failure.address,
        });
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
