//! What orders counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::storage::sagas::SagaRow;

/// The service's own metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Open sagas that were sent more often than a step may be: compensations whose participant stays silent. The alert.
    pub stuck: IntGauge,
    /// Steps that were given up.
    pub given_up: IntCounter,
    placed: IntCounterVec,
    ended: IntCounterVec,
    resends: IntCounter,
    compensation_resends: IntCounter,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// The registry has them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            stuck: IntGauge::new("flotilla_sagas_stuck", "Open sagas sent more often than a step's re-sends")?,
            given_up: IntCounter::new("flotilla_saga_given_up_total", "Steps given up after their re-sends")?,
            placed: IntCounterVec::new(
                Opts::new("flotilla_orders_placed_total", "Requests to place an order by outcome"),
                &["outcome"],
            )?,
            ended: IntCounterVec::new(Opts::new("flotilla_orders_ended_total", "Orders ended by state"), &["state"])?,
            resends: IntCounter::new("flotilla_saga_resends_total", "Steps forward that were sent again")?,
            compensation_resends: IntCounter::new(
                "flotilla_saga_compensation_resends_total",
                "Compensations that were sent again",
            )?,
        };
        registry.register(Box::new(metrics.stuck.clone()))?;
        registry.register(Box::new(metrics.given_up.clone()))?;
        registry.register(Box::new(metrics.placed.clone()))?;
        registry.register(Box::new(metrics.ended.clone()))?;
        registry.register(Box::new(metrics.resends.clone()))?;
        registry.register(Box::new(metrics.compensation_resends.clone()))?;
        Ok(metrics)
    }

    /// Counts a request to place an order.
    pub fn placed(&self, outcome: &str) {
        self.placed.with_label_values(&[outcome]).inc();
    }

    /// Counts the orders among the moved that have ended.
    pub fn moved<'a>(&self, rows: impl Iterator<Item = &'a SagaRow>) {
        for row in rows.filter(|row| !row.state.is_open()) {
            self.ended.with_label_values(&[row.state.name()]).inc();
        }
    }

    /// Counts a step that was sent again.
    pub fn resent(&self, compensating: bool) {
        let counter = if compensating { &self.compensation_resends } else { &self.resends };
        counter.inc();
    }
}
