//! Metrics of reloads.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::Outcome;

pub(crate) struct Metrics {
    reloads: Option<IntCounterVec>,
    version: Option<IntGauge>,
}

impl Metrics {
    pub fn new() -> Self {
        let opts = Opts::new("flotilla_config_reloads_total", "Configuration reloads, by result");
        let reloads = IntCounterVec::new(opts, &["result"]).ok();
        for result in ["applied", "unchanged", "refused"] {
            if let Some(reloads) = &reloads {
                reloads.with_label_values(&[result]);
            }
        }
        let version =
            IntGauge::new("flotilla_config_version", "Configurations applied so far, including the first").ok();
        version.iter().for_each(|version| version.set(1));
        Self { reloads, version }
    }

    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        if let Some(reloads) = &self.reloads {
            registry.register(Box::new(reloads.clone()))?;
        }
        match &self.version {
            Some(version) => registry.register(Box::new(version.clone())),
            None => Ok(()),
        }
    }

    pub fn count(&self, outcome: &Outcome, version: u64) {
        let result = match outcome {
            Outcome::Applied(_) => "applied",
            Outcome::Unchanged => "unchanged",
            Outcome::Refused(_) => "refused",
        };
        if let Some(reloads) = &self.reloads {
            reloads.with_label_values(&[result]).inc();
        }
        if let Some(gauge) = &self.version {
            gauge.set(i64::try_from(version).unwrap_or(i64::MAX));
        }
    }
}
