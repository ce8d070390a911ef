//! Evaluations, counted with a bounded number of labels.

use std::collections::BTreeSet;

use parking_lot::RwLock;
use prometheus::{IntCounterVec, Opts, Registry};

/// Maximum number of variant names used as labels by one process, because definitions change at run time.
const MAX_VARIANTS: usize = 128;
/// The label of further variants.
const OTHER: &str = "other";

/// The counter.
pub(crate) struct Evaluations {
    counts: IntCounterVec,
    variants: RwLock<BTreeSet<String>>,
}

impl Evaluations {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counts = IntCounterVec::new(
            Opts::new("flotilla_flag_evaluations_total", "Evaluations of feature flags by variant and reason"),
            &["flag", "variant", "reason"],
        )?;
        registry.register(Box::new(counts.clone()))?;
        Ok(Self { counts, variants: RwLock::default() })
    }

    /// Counts an evaluation. The flag's name comes from the code, the variant's from a definition.
    pub fn count(&self, flag: &'static str, variant: &str, reason: &str) {
        self.counts.with_label_values(&[flag, self.bounded(variant), reason]).inc();
    }

    fn bounded<'a>(&self, variant: &'a str) -> &'a str {
        if self.variants.read().contains(variant) {
            return variant;
        }
        let mut variants = self.variants.write();
        if variants.len() >= MAX_VARIANTS && !variants.contains(variant) {
            return OTHER;
        }
        variants.insert(variant.to_owned());
        variant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_variant_labels_is_bounded() {
        let registry = Registry::new();
        let evaluations = Evaluations::register(&registry).unwrap();
        for number in 0..1_000 {
            evaluations.count("theme", &format!("v{number}"), "static");
        }
        evaluations.count("theme", "v0", "static");
        let family = &registry.gather()[0];
        assert_eq!(family.get_metric().len(), MAX_VARIANTS + 1);
        assert_eq!(evaluations.counts.with_label_values(&["theme", "v0", "static"]).get(), 2);
        assert_eq!(evaluations.counts.with_label_values(&["theme", OTHER, "static"]).get(), 872);
    }
}
