//! Spans of the crates' and services' work, recorded in sampled traces.
//!
//! Guarantees: no span is created if traces aren't exported or the trace isn't sampled, and that check costs a load and a
//! thread-local lookup; a [`Span`] that isn't recorded does nothing. Sampling is decided once, when a request is received
//! ([`Span::serve`]); all further spans follow. `tracing`'s spans with the target [`SPANS`] are exported too: they are
//! children of the current span and never logged.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context as Task, Poll};

use opentelemetry::trace::{Link, SpanBuilder, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, ContextGuard};
use opentelemetry_sdk::trace::SdkTracer;
use pin_project_lite::pin_project;

pub use opentelemetry::trace::SpanKind as Kind;
pub use opentelemetry::{KeyValue, Value};

use crate::propagation::{Parent, is_sampled, traceparent};
use crate::service_scope::ServiceScope;

/// The target of `tracing`'s spans that are exported.
pub const SPANS: &str = "flotilla::span";

/// Maximum number of links of a span; nobody follows more members of a batch.
const MAX_LINKS: usize = 128;

/// Set once, by `init`, if traces are exported.
static SOURCE: OnceLock<Source> = OnceLock::new();

/// Creates spans.
struct Source {
    /// The tracer of the process, then those of its services, if it runs several.
    tracers: Vec<(ServiceScope, SdkTracer)>,
    /// Whether a parent that isn't sampled has no sampled children.
    follows: bool,
}

/// Sets the tracers of this process: its own, then those of its services, if it runs several.
pub(crate) fn set_source(tracers: Vec<(ServiceScope, SdkTracer)>, follows: bool) {
    // Only the first call has an effect, as with the subscriber.
    let _ = SOURCE.set(Source { tracers, follows });
}

/// Whether traces are exported at all.
#[must_use]
pub fn exported() -> bool {
    SOURCE.get().is_some()
}

/// Whether the current span belongs to a sampled trace that is exported.
#[must_use]
pub fn sampled() -> bool {
    SOURCE.get().is_some() && Context::map_current(|context| context.span().span_context().is_sampled())
}

/// The ids of a span, as log lines and exemplars contain them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanIds {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
}

impl SpanIds {
    /// The trace's id; shown as 32 digits.
    #[must_use]
    pub fn trace(&self) -> impl fmt::Display + use<> {
        opentelemetry::trace::TraceId::from_bytes(self.trace)
    }

    /// The span's id; shown as 16 digits.
    #[must_use]
    pub fn span(&self) -> impl fmt::Display + use<> {
        opentelemetry::trace::SpanId::from_bytes(self.span)
    }
}

/// The ids of the current span, if it is sampled.
#[must_use]
pub fn current_ids() -> Option<SpanIds> {
    Context::map_current(ids)
}

fn ids(context: &Context) -> Option<SpanIds> {
    let span = context.span();
    let ids = span.span_context();
    ids.is_sampled().then(|| SpanIds { trace: ids.trace_id().to_bytes(), span: ids.span_id().to_bytes() })
}

/// Adds an event to the current span, if it is sampled.
pub fn event(name: &'static str, attributes: impl IntoIterator<Item = KeyValue>) {
    if sampled() {
        Context::map_current(|context| context.span().add_event(name, attributes.into_iter().collect()));
    }
}

/// A span of work; ends when it is dropped.
#[derive(Debug, Default)]
#[must_use = "a span ends when it is dropped"]
pub struct Span(Option<Context>);

impl Span {
    /// No span: nothing is recorded.
    pub fn none() -> Self {
        Self(None)
    }

    /// The span of a received request, a child of the span that its sender named. Decides whether the trace is sampled.
    /// The closures aren't called if nothing is exported.
    pub fn serve<N: Into<Cow<'static, str>>>(
        parent: impl FnOnce() -> Option<Parent>,
        name: impl FnOnce() -> N,
    ) -> Self {
        let Some(source) = SOURCE.get() else { return Self(None) };
        let parent = parent();
        if source.follows && parent.as_ref().is_some_and(|parent| !parent.is_sampled()) {
            return Self(None);
        }
        let around = parent
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.context().clone()));
        source.start(SpanBuilder::from_name(name()).with_kind(Kind::Server), &around)
    }

    /// A child of the current span; none if that isn't sampled. Call [`sampled`] first if the name has to be computed.
    pub fn child(kind: Kind, name: impl Into<Cow<'static, str>>) -> Self {
        match SOURCE.get() {
            Some(source) if sampled() => {
                Context::map_current(|around| source.start(SpanBuilder::from_name(name).with_kind(kind), around))
            }
            _ => Self(None),
        }
    }

    /// A child of the span that `parent` (a `traceparent`) names, of this or another process; none if that isn't sampled.
    pub fn follow(kind: Kind, name: impl Into<Cow<'static, str>>, parent: Option<&str>) -> Self {
        Self::follow_linked(kind, name, parent, &Self(None))
    }

    /// Like [`follow`](Self::follow), with a link to `other`.
    pub fn follow_linked(kind: Kind, name: impl Into<Cow<'static, str>>, parent: Option<&str>, other: &Self) -> Self {
        let (Some(source), Some(parent)) = (SOURCE.get(), parent.filter(|parent| is_sampled(parent))) else {
            return Self(None);
        };
        let Some(parent) = Parent::parse(parent) else { return Self(None) };
        let around = Context::new().with_remote_span_context(parent.context().clone());
        let mut builder = SpanBuilder::from_name(name).with_kind(kind);
        if let Some(other) = &other.0 {
            builder = builder.with_links(vec![Link::with_context(other.span().span_context().clone())]);
        }
        source.start(builder, &around)
    }

    /// The span of work on a batch whose `members` are `traceparent`s: a trace of its own, linked to the sampled members;
    /// none if no member is sampled.
    pub fn gather<'a, N: Into<Cow<'static, str>>>(
        kind: Kind,
        name: impl FnOnce() -> N,
        members: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let Some(source) = SOURCE.get() else { return Self(None) };
        let sampled = members.into_iter().filter(|member| is_sampled(member)).filter_map(Parent::parse);
        let links: Vec<Link> =
            sampled.take(MAX_LINKS).map(|member| Link::with_context(member.context().clone())).collect();
        if links.is_empty() {
            return Self(None);
        }
        let builder = SpanBuilder::from_name(name()).with_kind(kind).with_links(links);
        source.start(builder, &Context::new())
    }

    /// Whether the span is recorded.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// The ids of the span, if it is recorded.
    #[must_use]
    pub fn ids(&self) -> Option<SpanIds> {
        self.0.as_ref().and_then(ids)
    }

    /// The `traceparent` for children of this span.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.0.as_ref().map(|context| traceparent(context.span().span_context()))
    }

    /// Sets an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Adds an event.
    pub fn event(&self, name: &'static str, attributes: impl IntoIterator<Item = KeyValue>) {
        if let Some(context) = &self.0 {
            context.span().add_event(name, attributes.into_iter().collect());
        }
    }

    /// Marks the work as failed. `kind` is one of a few words (`error.type`), `why` is for people.
    pub fn fail(&self, kind: impl Into<Cow<'static, str>>, why: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            let span = context.span();
            span.set_attribute(KeyValue::new("error.type", kind.into()));
            span.set_status(Status::error(why));
        }
    }

    /// Marks the work as failed and records the error as an event.
    pub fn error(&self, kind: impl Into<Cow<'static, str>>, error: &(dyn Error + 'static)) {
        if let Some(context) = &self.0 {
            context.span().record_error(error);
            self.fail(kind, error.to_string());
        }
    }

    /// Makes it the current span of this thread until the guard is dropped. The guard must not be held across an await.
    pub fn enter(&self) -> Entered {
        Entered { _guard: self.0.clone().map(Context::attach) }
    }

    /// A handle that can make it the current span without owning it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.0.clone())
    }

    /// Makes it the current span whenever `future` is polled.
    pub fn within<F: Future>(&self, future: F) -> Within<F> {
        Within { future, context: self.0.clone() }
    }
}

/// A handle to a span that its owner ends.
#[derive(Clone, Debug, Default)]
pub struct Handle(Option<Context>);

impl Handle {
    /// Like [`Span::within`].
    pub fn within<F: Future>(self, future: F) -> Within<F> {
        Within { future, context: self.0 }
    }
}

impl Drop for Span {
    /// Ends it, even if its context is still held elsewhere.
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

impl Source {
    /// The tracer of the running service, else the process's.
    fn tracer(&self) -> Option<&SdkTracer> {
        let current = ServiceScope::current();
        let own = self.tracers.iter().find(|(scope, _)| *scope == current);
        own.or(self.tracers.first()).map(|(_, tracer)| tracer)
    }

    fn start(&self, builder: SpanBuilder, around: &Context) -> Span {
        let Some(tracer) = self.tracer() else { return Span(None) };
        let span = tracer.build_with_context(builder, around);
        if opentelemetry::trace::Span::is_recording(&span) {
            Span(Some(Context::new().with_span(span)))
        } else {
            Span(None)
        }
    }
}

/// The guard of an entered span, which is the current one until the guard is dropped.
#[must_use = "the span is left when the guard is dropped"]
pub struct Entered {
    _guard: Option<ContextGuard>,
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

pin_project! {
    /// A future within a span.
    #[derive(Debug)]
    pub struct Within<F> {
        #[pin]
        future: F,
        context: Option<Context>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.context.as_ref().map(|context| context.clone().attach());
        this.future.poll(cx)
    }
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
