//! Which traces are sampled: decided once, at the root (head sampling), and followed by all later spans.
//!
//! A span with a parent follows its parent; a root is sampled by ratio of its trace id; a root with links to others (a
//! batch) is sampled if any of them is. `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` can change that.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::error::TelemetryError;

/// The sampler of a process.
#[derive(Clone, Debug)]
pub(crate) struct HeadSampler {
    root: Sampler,
    /// Whether spans follow their parent's decision.
    follows: bool,
}

impl HeadSampler {
    /// The sampler that the environment (`variable`) names, else `ratio` of all roots.
    ///
    /// # Errors
    /// An unknown sampler or an invalid argument.
    pub(crate) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
        ratio: f64,
    ) -> Result<Self, TelemetryError> {
        let set = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let ratio = match set("OTEL_TRACES_SAMPLER_ARG") {
            Some(given) => share(&given)
                .ok_or_else(|| wrong(format!("invalid OTEL_TRACES_SAMPLER_ARG {given:?}; use a number from 0 to 1")))?,
            None => ratio,
        };
        let Some(name) = set("OTEL_TRACES_SAMPLER") else { return Ok(Self::ratio(ratio)) };
        let (follows, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name.as_str()),
        };
        let root = match kind {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(ratio),
            _ => return Err(wrong(format!("OTEL_TRACES_SAMPLER names an unknown sampler: {name}"))),
        };
        Ok(Self { root, follows })
    }

    /// Samples `ratio` of the roots; other spans follow their parent.
    pub(crate) fn ratio(ratio: f64) -> Self {
        Self { root: Sampler::TraceIdRatioBased(ratio), follows: true }
    }

    /// Whether a parent that isn't sampled has no sampled children.
    pub(crate) fn follows(&self) -> bool {
        self.follows
    }
}

impl ShouldSample for HeadSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let known = parent
            .map(|parent| parent.span().span_context().clone())
            .filter(opentelemetry::trace::SpanContext::is_valid);
        let decided = match &known {
            Some(parent) if self.follows => Some(parent.is_sampled()),
            _ => links.iter().any(|link| link.span_context.is_sampled()).then_some(true),
        };
        match decided {
            Some(sampled) => SamplingResult {
                decision: if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
                attributes: Vec::new(),
                trace_state: known.map(|parent| parent.trace_state().clone()).unwrap_or_default(),
            },
            None => self.root.should_sample(parent, trace, name, kind, attributes, links),
        }
    }
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

fn wrong(reason: String) -> TelemetryError {
    TelemetryError::Export(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    fn span(sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(sampled);
        SpanContext::new(TraceId::from(7), SpanId::from(9), flags, true, TraceState::default())
    }

    fn sampled(head: &HeadSampler, parent: Option<SpanContext>, links: &[Link], trace: u128) -> bool {
        let parent = parent.map(|parent| Context::new().with_remote_span_context(parent));
        let trace = TraceId::from(trace);
        let result = head.should_sample(parent.as_ref(), trace, "x", &SpanKind::Internal, &[], links);
        result.decision == SamplingDecision::RecordAndSample
    }

    fn chosen(variables: &[(&str, &str)]) -> Result<HeadSampler, TelemetryError> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        HeadSampler::from_environment(find, 0.5)
    }

    #[test]
    fn children_follow_their_parents_whatever_the_ratio() {
        assert!(sampled(&HeadSampler::ratio(0.0), Some(span(true)), &[], 1));
        assert!(!sampled(&HeadSampler::ratio(1.0), Some(span(false)), &[], 1));
    }

    #[test]
    fn a_batch_is_sampled_if_any_of_its_members_is() {
        let link = |sampled| Link::with_context(span(sampled));
        assert!(sampled(&HeadSampler::ratio(0.0), None, &[link(false), link(true)], 1));
        assert!(!sampled(&HeadSampler::ratio(0.0), None, &[link(false)], 1));
    }

    #[test]
    fn roots_are_sampled_by_ratio() {
        let step = u128::from(u64::MAX / 1_000);
        let kept = |ratio| (0..1_000).filter(|n| sampled(&HeadSampler::ratio(ratio), None, &[], n * step)).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 1_000));
        assert!((90..=110).contains(&kept(0.1)), "{}", kept(0.1));
    }

    #[test]
    fn the_environment_selects_the_sampler_and_its_mistakes_are_reported() {
        assert!(sampled(&chosen(&[("OTEL_TRACES_SAMPLER", "always_on")]).unwrap(), Some(span(false)), &[], 1));
        assert!(!sampled(&chosen(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).unwrap(), None, &[], 1));
        let ratio = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1")];
        assert!(sampled(&chosen(&ratio).unwrap(), None, &[], u128::MAX));
        for wrong in [("OTEL_TRACES_SAMPLER", "sometimes"), ("OTEL_TRACES_SAMPLER_ARG", "2")] {
            let error = chosen(&[wrong]).unwrap_err().to_string();
            assert!(error.contains(wrong.0) && error.contains(wrong.1) || error.contains("from 0 to 1"), "{error}");
        }
    }
}
