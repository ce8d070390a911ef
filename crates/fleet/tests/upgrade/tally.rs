//! What the callers saw: answers, failures, how slow, how often something had to be asked again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

/// Counts of all callers; clones share them.
#[derive(Clone, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    kinds: BTreeMap<&'static str, Kind>,
    failures: Vec<String>,
    repeats: BTreeMap<&'static str, u64>,
}

struct Kind {
    micros: Histogram<u64>,
}

impl Tally {
    /// A request was answered; repeats included, it took so long.
    pub fn answered(&self, kind: &'static str, took: Duration) {
        self.with(|counts| {
            let kind = counts.kinds.entry(kind).or_insert_with(|| Kind { micros: Histogram::new(3).unwrap() });
            kind.micros.record(u64::try_from(took.as_micros()).unwrap()).unwrap();
        });
    }

    /// A request failed for good.
    pub fn failed(&self, kind: &'static str, why: impl std::fmt::Display) {
        self.with(|counts| counts.failures.push(format!("{kind}: {why}")));
    }

    /// A request is asked again, which its caller isn't told.
    pub fn repeated(&self, kind: &'static str) {
        self.with(|counts| *counts.repeats.entry(kind).or_default() += 1);
    }

    /// Requests of a kind that were answered.
    pub fn count(&self, kind: &str) -> u64 {
        self.with(|counts| counts.kinds.get(kind).map_or(0, |kind| kind.micros.len()))
    }

    /// Fails where a request has failed.
    pub fn assert_clean(&self, when: &str) {
        self.with(|counts| {
            let failures = &counts.failures;
            assert!(
                failures.is_empty(),
                "{when}: {} requests failed: {:#?}",
                failures.len(),
                &failures[..failures.len().min(10)]
            );
        });
    }

    /// One line a kind.
    pub fn report(&self) -> String {
        self.with(|counts| {
            let ms = |micros: u64| micros as f64 / 1_000.0;
            let line = |(name, kind): (&&str, &Kind)| {
                let (half, most, longest) =
                    (kind.micros.value_at_quantile(0.5), kind.micros.value_at_quantile(0.99), kind.micros.max());
                let repeats = counts.repeats.get(*name).copied().unwrap_or_default();
                format!(
                    "  {name}: {} answered; p50 {:.1} ms, p99 {:.1} ms, slowest {:.0} ms; repeats {repeats}\n",
                    kind.micros.len(),
                    ms(half),
                    ms(most),
                    ms(longest)
                )
            };
            counts.kinds.iter().map(line).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Counts) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
