//! Metrics of secret reads, by outcome.

use prometheus::{IntCounterVec, Opts, Registry};

/// Counts by store and result.
#[derive(Clone)]
pub(crate) struct Refreshes(IntCounterVec);

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "vault"), allow(dead_code, reason = "only Vault leases"))]
pub(crate) enum Outcome {
    /// A value was read.
    Read,
    /// A new credential was leased.
    Issued,
    /// Its lease was renewed.
    Renewed,
    /// It is still valid.
    Kept,
    /// No value could be read.
    Failed,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Issued => "issued",
            Self::Renewed => "renewed",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

impl Refreshes {
    pub fn new() -> Self {
        let options = Opts::new("flotilla_secret_refreshes_total", "Secret refreshes, by result");
        Self(IntCounterVec::new(options, &["store", "result"]).expect("the name and the labels are well formed"))
    }

    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.clone()))
    }

    pub fn count(&self, store: &str, outcome: Outcome) {
        self.0.with_label_values(&[store, outcome.as_str()]).inc();
    }
}
