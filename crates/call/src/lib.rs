//! What travels with a call through a process: its deadline, its request id and its trace.
//!
//! Owns the context of a task and nothing else. Guarantees: outside of [`CallContext::scope`] the context is empty; a
//! deadline only ever bounds what it is read by, it cancels nothing by itself.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;

tokio::task_local! {
    static CONTEXT: CallContext;
}

/// When a call ends. Handlers find it in the request's extensions; clients send on what is left of it, and a database
/// bounds its statements by it.
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
pub struct RequestId(HeaderValue);

impl RequestId {
    /// An id from text: 1 to 128 visible ASCII characters that hold nothing like an address, a card or a token.
    pub fn new(id: &str) -> Option<Self> {
        if Self::fits(id) { HeaderValue::from_str(id).ok().map(Self) } else { None }
    }

    /// An id from a header; its bytes are shared, not copied.
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        value.to_str().is_ok_and(Self::fits).then(|| Self(value.clone()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header's value.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// An id is told to everybody: to logs, traces and whoever is answered. What looks like a secret is none.
    fn fits(id: &str) -> bool {
        (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_graphic())
            && matches!(flotilla_telemetry::redact::scrub(id), Cow::Borrowed(_))
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

    /// As [`scope`](Self::scope), as a future with a name.
    pub fn wrap<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        CONTEXT.scope(self, future)
    }

    /// Runs `poll`, one step of something longer such as a stream, in this context.
    pub fn enter<R>(self, poll: impl FnOnce() -> R) -> R {
        CONTEXT.sync_scope(self, poll)
    }

    /// What `read` finds in the context of this task, `None` outside of any call. Copies nothing.
    pub fn with<R>(read: impl FnOnce(&Self) -> R) -> Option<R> {
        CONTEXT.try_with(read).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests are told by a panic")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_a_call_is_known_inside_of_it_and_nowhere_else() {
        let limit = Duration::from_secs(5);
        let context = CallContext { deadline: Some(Deadline::after(Duration::from_secs(2))), ..Default::default() };
        assert_eq!(context.clone().enter(|| Deadline::at_most(limit)), Duration::from_secs(2));
        assert_eq!(context.scope(async { Deadline::at_most(limit) }).await, Duration::from_secs(2));
        assert_eq!(Deadline::at_most(limit), limit);
        assert!(CallContext::with(|_| ()).is_none());
    }

    #[test]
    fn an_id_is_visible_text_of_bounded_length() {
        assert_eq!(RequestId::new("abc-1").unwrap().as_str(), "abc-1");
        for rubbish in ["", "a b", "\u{e4}", &"x".repeat(129), "ada@example.com", "4539-1488-0343-6467"] {
            assert!(RequestId::new(rubbish).is_none(), "{rubbish:?}");
        }
        let header = HeaderValue::from_static("abc-1");
        assert_eq!(RequestId::from_header(&header), RequestId::new("abc-1"));
        assert_eq!(RequestId::from_header(&HeaderValue::from_static("a b")), None);
    }
}
