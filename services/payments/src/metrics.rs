//! What became of charges, refunds and top-ups, as counters. They count decisions: one that is rolled back with its
//! batch and made again counts twice, so for money the ledger is asked.

use prometheus::{IntCounterVec, Opts, Registry};

use crate::domain::{Charged, Refunded};

/// The counters.
#[derive(Clone)]
pub struct Metrics {
    decisions: IntCounterVec,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("flotilla_payments_decisions_total", "Decisions on charges, refunds and top-ups.");
        let decisions = IntCounterVec::new(options, &["kind", "outcome"])?;
        registry.register(Box::new(decisions.clone()))?;
        Ok(Self { decisions })
    }

    /// Counts a charge.
    pub fn charged(&self, answer: Charged) {
        let outcome = match answer {
            Charged::Paid(_) => "paid",
            Charged::Declined(_) => "declined",
        };
        self.decisions.with_label_values(&["charge", outcome]).inc();
    }

    /// Counts a refund.
    pub fn refunded(&self, answer: Refunded) {
        let outcome = if answer.returned.is_some() { "returned" } else { "nothing_charged" };
        self.decisions.with_label_values(&["refund", outcome]).inc();
    }

    /// Counts a top-up.
    pub fn topped_up(&self, added: bool) {
        let outcome = if added { "added" } else { "refused" };
        self.decisions.with_label_values(&["top_up", outcome]).inc();
    }
}
