//! Service level indicators: good and bad events, and their objectives.
//!
//! An indicator is a counter with two series, so that its error ratio over any time is one division, and the remaining
//! error budget another. The caller decides what an event is; the objectives are defined here only.

use std::time::Duration;

use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry};

/// A service level indicator. Its objective is a promise to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sli {
    /// Requests are answered: 99.9%, not counting failures that the client caused.
    Availability,
    /// An order is accepted within a quarter of a second: 99% of those accepted.
    AcceptLatency,
    /// An order is confirmed or rejected within five seconds of its acceptance: 99%.
    SettleLatency,
}

impl Sli {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Availability, Self::AcceptLatency, Self::SettleLatency];

    /// The value of the label `sli`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::AcceptLatency => "accept_latency",
            Self::SettleLatency => "settle_latency",
        }
    }

    /// The objective for the share of good events.
    #[must_use]
    pub const fn objective(self) -> f64 {
        match self {
            Self::Availability => 0.999,
            Self::AcceptLatency | Self::SettleLatency => 0.99,
        }
    }

    /// The time within which an event is good, for indicators of latency. Histograms of the same latency have it as a
    /// bound.
    #[must_use]
    pub const fn threshold(self) -> Option<Duration> {
        match self {
            Self::Availability => None,
            Self::AcceptLatency => Some(Duration::from_millis(250)),
            Self::SettleLatency => Some(Duration::from_secs(5)),
        }
    }
}

/// The events of one indicator. Clones count together.
#[derive(Clone, Debug)]
pub struct SliEvents {
    good: IntCounter,
    bad: IntCounter,
    threshold: Option<Duration>,
}

impl SliEvents {
    /// Registers the indicator's counters, starting at zero, and its objective.
    ///
    /// # Errors
    /// The indicator is already registered.
    pub fn register(sli: Sli, registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).const_label("sli", sli.name());
        let events = IntCounterVec::new(
            opts("flotilla_sli_events_total", "Events of a service level indicator, good and bad"),
            &["result"],
        )?;
        let objective =
            Gauge::with_opts(opts("flotilla_slo_objective_ratio", "Objective for the share of good events"))?;
        objective.set(sli.objective());
        registry.register(Box::new(events.clone()))?;
        registry.register(Box::new(objective))?;
        if let Some(threshold) = sli.threshold() {
            let help = "Time within which an event is good";
            let gauge = Gauge::with_opts(opts("flotilla_slo_threshold_seconds", help))?;
            gauge.set(threshold.as_secs_f64());
            registry.register(Box::new(gauge))?;
        }
        let [good, bad] = ["good", "bad"].map(|result| events.with_label_values(&[result]));
        Ok(Self { good, bad, threshold: sli.threshold() })
    }

    /// Counts an event.
    pub fn count(&self, good: bool) {
        if good { self.good.inc() } else { self.bad.inc() }
    }

    /// Counts an event that took this long. It is good up to and including the threshold.
    pub fn took(&self, time: Duration) {
        self.count(self.threshold.is_none_or(|threshold| time <= threshold));
    }

    /// Good and bad events so far.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (self.good.get(), self.bad.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_at_its_threshold_is_good_and_one_beyond_is_bad() {
        let events = SliEvents::register(Sli::AcceptLatency, &Registry::new()).unwrap();
        events.took(Duration::from_millis(250));
        events.took(Duration::from_millis(251));
        assert_eq!(events.so_far(), (1, 1));
    }

    #[test]
    fn a_registry_holds_several_indicators_with_their_objectives() {
        let registry = Registry::new();
        for sli in Sli::ALL {
            SliEvents::register(sli, &registry).unwrap();
        }
        let text = crate::render(&registry);
        for line in [
            "flotilla_sli_events_total{result=\"bad\",sli=\"availability\"} 0",
            "flotilla_slo_objective_ratio{sli=\"availability\"} 0.999",
            "flotilla_slo_threshold_seconds{sli=\"accept_latency\"} 0.25",
            "flotilla_slo_threshold_seconds{sli=\"settle_latency\"} 5",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("flotilla_slo_threshold_seconds{sli=\"availability\"}"));
    }
}
