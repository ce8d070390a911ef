//! Exemplars: the trace of an observation, and the newest exemplar of each bucket.

use std::sync::Mutex;
use std::time::SystemTime;

use opentelemetry::TraceId;

use crate::propagation::Parent;
use crate::span::{Span, SpanIds, current_ids};

/// The id of a sampled trace, which can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampledTrace(TraceId);

impl SampledTrace {
    /// The trace of the current span. If there is none, this costs one thread-local lookup.
    #[must_use]
    pub fn current() -> Option<Self> {
        current_ids().map(Self::from)
    }

    /// The trace of a span.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        span.ids().map(Self::from)
    }

    /// The trace that a W3C `traceparent` names.
    #[must_use]
    pub fn named(traceparent: &str) -> Option<Self> {
        let parent = Parent::parse(traceparent).filter(Parent::is_sampled)?;
        Some(Self(parent.context().trace_id()))
    }
}

impl From<SpanIds> for SampledTrace {
    /// Only sampled spans have ids.
    fn from(ids: SpanIds) -> Self {
        Self(TraceId::from_bytes(ids.trace))
    }
}

impl std::fmt::Display for SampledTrace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An observation and its trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub trace: SampledTrace,
    pub value: f64,
    pub at: SystemTime,
}

/// The newest exemplar of each bucket of a histogram.
#[derive(Debug)]
pub(super) struct Slots {
    /// Upper bounds, without infinity.
    bounds: Box<[f64]>,
    newest: Box<[Mutex<Option<Exemplar>>]>,
}

impl Slots {
    pub fn new(bounds: &[f64]) -> Self {
        let newest = (0..=bounds.len()).map(|_| Mutex::default()).collect();
        Self { bounds: bounds.into(), newest }
    }

    /// Keeps an observation. Never waits: if the slot is in use, the other observation, which is as new, is kept.
    pub fn keep(&self, value: f64, trace: SampledTrace) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Ok(mut slot) = self.newest[bucket].try_lock() {
            #[allow(clippy::disallowed_methods, reason = "shown beside the trace; nothing is decided by it")]
            let at = SystemTime::now();
            *slot = Some(Exemplar { trace, value, at });
        }
    }

    /// All exemplars, each with its bucket's upper bound.
    pub fn all(&self) -> impl Iterator<Item = (f64, Exemplar)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(&self.newest).filter_map(|(bound, slot)| Some((bound, (*slot.lock().ok()?)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn trace() -> SampledTrace {
        SampledTrace::named(&format!("00-{TRACE}-b7ad6b7169203331-01")).unwrap()
    }

    #[test]
    fn only_a_sampled_traceparent_names_a_trace() {
        assert_eq!(trace().to_string(), TRACE);
        for text in [
            "",
            "00",
            "00-short-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz",
        ] {
            assert_eq!(SampledTrace::named(text), None, "{text:?}");
        }
    }

    #[test]
    fn outside_a_span_there_is_no_trace() {
        assert_eq!(SampledTrace::current(), None);
    }

    #[test]
    fn each_bucket_keeps_its_newest_and_a_bound_belongs_to_its_bucket() {
        let slots = Slots::new(&[0.25, 5.0]);
        for value in [0.1, 0.25, 0.26, 7.0, 9.0] {
            slots.keep(value, trace());
        }
        let kept: Vec<(f64, f64)> = slots.all().map(|(bound, exemplar)| (bound, exemplar.value)).collect();
        assert_eq!(kept, [(0.25, 0.25), (5.0, 0.26), (f64::INFINITY, 9.0)]);
    }
}
