//! The counters of charges, refunds and top-ups.
//!
//! Decisions are counted after their commit, so that duplicates and rollbacks aren't counted twice.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::domain::{Charged, Refunded};

/// The counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    paid: IntCounter,
    declined: IntCounter,
    returned: IntCounter,
    nothing_charged: IntCounter,
    added: IntCounter,
    refused: IntCounter,
}

/// The results of one batch of commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    paid: u64,
    declined: u64,
    returned: u64,
    nothing_charged: u64,
}

impl Decisions {
    /// Adds a charge.
    pub fn charged(&mut self, answer: Charged) {
        match answer {
            Charged::Paid(_) => self.paid += 1,
            Charged::Declined(_) => self.declined += 1,
        }
    }

    /// Adds a refund.
    pub fn refunded(&mut self, answer: Refunded) {
        if answer.returned.is_some() { self.returned += 1 } else { self.nothing_charged += 1 }
    }
}

impl Metrics {
    /// Registers the counters.
    ///
    /// # Errors
    /// The registry already has them.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("flotilla_payments_decisions_total", "Decisions on charges, refunds and top-ups");
        let decisions = IntCounterVec::new(options, &["kind", "outcome"])?;
        registry.register(Box::new(decisions.clone()))?;
        let counter = |kind, outcome| decisions.with_label_values(&[kind, outcome]);
        Ok(Self {
            paid: counter("charge", "paid"),
            declined: counter("charge", "declined"),
            returned: counter("refund", "returned"),
            nothing_charged: counter("refund", "nothing_charged"),
            added: counter("top_up", "added"),
            refused: counter("top_up", "refused"),
        })
    }

    /// Counts the results of a committed batch.
    pub fn decided(&self, decisions: Decisions) {
        self.paid.inc_by(decisions.paid);
        self.declined.inc_by(decisions.declined);
        self.returned.inc_by(decisions.returned);
        self.nothing_charged.inc_by(decisions.nothing_charged);
    }

    /// Counts a top-up.
    pub fn topped_up(&self, added: bool) {
        if added { self.added.inc() } else { self.refused.inc() }
    }
}
