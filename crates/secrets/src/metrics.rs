//! Metrics of secret reads, by outcome.

use prometheus::{IntCounterVec, Opts, Registry};

/// Counts by store and result.
#[derive(Clone)]
pub(crate) struct Refreshes(IntCounterVec);

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "vault"), allow(dead_code, reason = "only Vault leases"))]
pub(crate) enum Outcome {
    /// A value was read.
    Read,
    /// A credential was made for us.
    Issued,
    /// Its lease goes on.
    Renewed,
    /// It holds for a while yet.
    Kept,
    /// There is none.
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
