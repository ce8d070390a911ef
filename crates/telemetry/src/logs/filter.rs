//! Which events are logged: those that the filter in force enables, and more from the calls of watched users.
//!
//! Without watched users each callsite is decided once, and an event that isn't logged costs a comparison. With them, a
//! call is marked when its caller becomes known, and its events are logged down to the rule's level.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::event_filter::{EventFilter, is_muted};
use crate::span::SPANS;

/// Target of the event that sets a call's user; it is never logged.
const CALLER: &str = "flotilla::caller";

/// Sets the user of the current span's call for the logs. Costs a comparison while no user is watched.
pub fn caller_is(user: &dyn std::fmt::Display) {
    tracing::trace!(target: CALLER, user = %user);
}

/// The filter and the watched users in force.
pub(crate) struct InForce {
    pub event_filter: EventFilter,
    /// Watched users, and the level to which their calls are logged.
    pub users: HashMap<String, LevelFilter>,
}

/// Shared by the layers that log and the control that changes it.
pub(crate) struct Shared {
    in_force: RwLock<InForce>,
    /// Whether a user is watched.
    watching: AtomicBool,
    /// Whether the filter follows spans.
    follows: AtomicBool,
}

impl Shared {
    pub(crate) fn new(in_force: InForce) -> Self {
        Self {
            watching: AtomicBool::new(!in_force.users.is_empty()),
            follows: AtomicBool::new(matches!(in_force.event_filter, EventFilter::Spans(_))),
            in_force: RwLock::new(in_force),
        }
    }

    /// Replaces it; callsites are decided anew.
    pub(crate) fn replace(&self, in_force: InForce) {
        {
            let mut held = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
            self.watching.store(!in_force.users.is_empty(), Ordering::Relaxed);
            self.follows.store(matches!(in_force.event_filter, EventFilter::Spans(_)), Ordering::Relaxed);
            *held = in_force;
        }
        tracing::callsite::rebuild_interest_cache();
    }

    fn read(&self) -> RwLockReadGuard<'_, InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watching(&self) -> bool {
        self.watching.load(Ordering::Relaxed)
    }
}

/// The filter of a layer that logs.
#[derive(Clone)]
pub(crate) struct LogFilter(pub Arc<Shared>);

/// Marks the outermost span of a watched user's call.
struct Watched(LevelFilter);

impl InForce {
    fn most_verbose(&self) -> LevelFilter {
        self.users.values().copied().max().unwrap_or(LevelFilter::OFF)
    }

    fn lets_through<S>(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        match &self.event_filter {
            EventFilter::Targets(targets) => Filter::enabled(targets, metadata, context),
            EventFilter::Spans(spans) => Filter::enabled(&**spans, metadata, context),
        }
    }
}

impl<S> Filter<S> for LogFilter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.target() {
            SPANS => return Interest::never(),
            CALLER if self.0.is_watching() => return Interest::sometimes(),
            CALLER => return Interest::never(),
            _ => {}
        }
        let in_force = self.0.read();
        let interest = match &in_force.event_filter {
            EventFilter::Targets(targets) => Filter::<S>::callsite_enabled(targets, metadata),
            EventFilter::Spans(spans) => Filter::<S>::callsite_enabled(&**spans, metadata),
        };
        let more = self.0.is_watching() && may_be_watched(metadata, in_force.most_verbose());
        if more && !interest.is_always() { Interest::sometimes() } else { interest }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        match metadata.target() {
            SPANS => return false,
            CALLER => return self.0.is_watching(),
            _ => {}
        }
        let in_force = self.0.read();
        in_force.lets_through(metadata, context)
            // Whose event it is is decided in `event_enabled`: it may belong to a span other than the current one.
            || (self.0.is_watching() && may_be_watched(metadata, in_force.most_verbose()))
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        if !self.0.is_watching() {
            return true;
        }
        let in_force = self.0.read();
        if event.metadata().target() == CALLER {
            mark(&in_force, event, context);
            return false;
        }
        in_force.lets_through(event.metadata(), context) || is_watched(event, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // `caller_is` logs at level trace, which must be enabled while users are watched.
        if self.0.is_watching() { Some(LevelFilter::TRACE) } else { Some(self.0.read().event_filter.max_level()) }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.following(|spans| Filter::on_new_span(spans, attributes, id, context));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.following(|spans| Filter::on_record(spans, id, values, context));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.following(|spans| Filter::on_enter(spans, id, context));
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.following(|spans| Filter::on_exit(spans, id, context));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.following(|spans| Filter::on_close(spans, id, context));
    }
}

impl LogFilter {
    fn following(&self, notify: impl FnOnce(&tracing_subscriber::EnvFilter)) {
        if self.0.follows.load(Ordering::Relaxed)
            && let EventFilter::Spans(spans) = &self.0.read().event_filter
        {
            notify(spans);
        }
    }
}

/// Whether it can belong to a watched user's call. Spans down to `INFO` do, so that a call has one to mark.
fn may_be_watched(metadata: &Metadata<'_>, most_verbose: LevelFilter) -> bool {
    if metadata.is_span() {
        *metadata.level() <= Level::INFO
    } else {
        *metadata.level() <= most_verbose && !is_muted(metadata.target())
    }
}

/// Marks the call if its user is watched.
fn mark<S>(in_force: &InForce, event: &Event<'_>, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut user = User::default();
    event.record(&mut user);
    if let Some(level) = in_force.users.get(&user.0)
        && let Some(outermost) = context.event_scope(event).and_then(Iterator::last)
    {
        outermost.extensions_mut().replace(Watched(*level));
    }
}

fn is_watched<S>(event: &Event<'_>, context: &Context<'_, S>) -> bool
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let outermost = context.event_scope(event).and_then(Iterator::last);
    outermost.is_some_and(|span| {
        span.extensions().get::<Watched>().is_some_and(|Watched(level)| event.metadata().level() <= level)
    })
}

#[derive(Default)]
struct User(String);

impl Visit for User {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "user" {
            self.0 = format!("{value:?}");
        }
    }
}
