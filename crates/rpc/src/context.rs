//! What travels with a call from the server's stack to the clients that it uses: deadline and request id.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

tokio::task_local! {
    static CONTEXT: CallContext;
}

/// When a call ends. Handlers find it in the request's extensions; clients made by
/// [`channel`](crate::channel) send on what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The deadline `after` from now.
    pub fn after(after: Duration) -> Self {
        Self(Instant::now() + after)
    }

    /// The deadline of the call that this task serves.
    pub fn current() -> Option<Self> {
        CONTEXT.try_with(|context| context.deadline).ok().flatten()
    }

    /// How long the call that this task serves may still take; `limit` where it has no deadline or a later one.
    pub fn at_most(limit: Duration) -> Duration {
        Self::current().map_or(limit, |deadline| deadline.remaining().min(limit))
    }

    /// What is left, zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The id that one request keeps over all hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    /// An id from text: 1 to 128 visible ASCII characters.
    pub fn new(id: &str) -> Option<Self> {
        let fits = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { HeaderValue::from_str(id).ok().map(Self) } else { None }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// What a task serves. Set by the server's stack around every call; a gateway sets its own.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// When the call ends.
    pub deadline: Option<Deadline>,
    /// Its request id.
    pub request_id: Option<RequestId>,
    /// W3C trace context to send on when no span of this process has one.
    pub traceparent: Option<Arc<str>>,
}

/// The W3C trace context to give to what this call causes: that of the current span where traces are exported, else the
/// one that came with the call.
pub fn current_traceparent() -> Option<String> {
    flotilla_telemetry::current_traceparent()
        .or_else(|| CallContext::with(|context| context.traceparent.as_deref().map(str::to_owned)).flatten())
}

impl CallContext {
    /// The context of this task, empty outside of any call.
    pub fn current() -> Self {
        CONTEXT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs `future` in this context.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CONTEXT.scope(self, future).await
    }

    pub(crate) fn wrap<F: Future>(self, future: F) -> tokio::task::futures::TaskLocalFuture<Self, F> {
        CONTEXT.scope(self, future)
    }

    pub(crate) fn with<R>(read: impl FnOnce(&Self) -> R) -> Option<R> {
        CONTEXT.try_with(read).ok()
    }
}
