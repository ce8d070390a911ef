//! The metrics of orders: requests, final states, steps, revenue, and how soon orders are settled.
//!
//! The effects of events are counted after the commit of their transaction, so that a redelivery or a rollback isn't
//! counted twice. If the answer to a commit is lost, nothing is counted; the exact figures are in the database.

use flotilla_telemetry::{ExemplarHistogram, ExemplarHistogramVec, Sli, SliEvents};
use prometheus::{HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::{domain::saga::State, saga::Move};

/// From ten milliseconds to a minute, dense where most orders end, and including the threshold of the objective: five
/// seconds.
const SETTLE: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets for the steps, which are parts of an order's duration.
const STEP: [f64; 13] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The service's own metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Open sagas that were re-sent more often than a step's limit: compensations whose participant doesn't reply. An
    /// alert watches this.
    pub stuck: IntGauge,
    /// Number of steps given up.
    pub given_up: IntCounter,
    placed: IntCounterVec,
    confirmed: End,
    rejected: End,
    cancelled: End,
    settle_latency: SliEvents,
    reserving: ExemplarHistogram,
    charging: ExemplarHistogram,
    compensating: ExemplarHistogram,
    revenue: IntCounterVec,
    resends: IntCounter,
    compensation_resends: IntCounter,
}

/// Counts of orders that ended in one state.
#[derive(Clone, Debug)]
struct End {
    ended: IntCounter,
    settled: ExemplarHistogram,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// The registry already has them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let counters = |name: &str, help: &str, label: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let times = |name: &str, help: &str, buckets: &[f64], label: &str| {
            ExemplarHistogramVec::register(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &[label], registry)
        };
        let stuck = IntGauge::new(
            "flotilla_sagas_stuck",
            "Open sagas with a step that was sent more often than the maximum number of re-sends",
        )?;
        registry.register(Box::new(stuck.clone()))?;
        let help = "Requests to place an order by outcome";
        let placed = counters("flotilla_orders_placed_total", help, "outcome")?;
        for outcome in ["accepted", "refused", "paused", "key_reused", "overloaded", "limited", "failed"] {
            placed.with_label_values(&[outcome]);
        }
        let ended = counters("flotilla_orders_ended_total", "Ended orders by final state", "state")?;
        let settled = times(
            "flotilla_order_settle_seconds",
            "Time from an order's acceptance to its final state",
            &SETTLE,
            "state",
        )?;
        let end = |state: &str| End {
            ended: ended.with_label_values(&[state]),
            settled: settled.with_label_values(&[state]),
        };
        let steps = times("flotilla_saga_step_seconds", "Time from a step's command to its reply", &STEP, "step")?;
        let revenue = "Total amount of confirmed orders, in minor units of their currency";
        Ok(Self {
            stuck,
            given_up: counter("flotilla_saga_given_up_total", "Steps given up after the maximum number of re-sends")?,
            placed,
            confirmed: end("confirmed"),
            rejected: end("rejected"),
            cancelled: end("cancelled"),
            settle_latency: SliEvents::register(Sli::SettleLatency, registry)?,
            reserving: steps.with_label_values(&["reserving"]),
            charging: steps.with_label_values(&["charging"]),
            compensating: steps.with_label_values(&["compensating"]),
            revenue: counters("flotilla_revenue_minor_units_total", revenue, "currency")?,
            resends: counter("flotilla_saga_resends_total", "Re-sent forward steps")?,
            compensation_resends: counter("flotilla_saga_compensation_resends_total", "Re-sent compensations")?,
        })
    }

    /// Counts a request to place an order.
    pub fn placed(&self, outcome: &str) {
        self.placed.with_label_values(&[outcome]).inc();
    }

    /// Counts what a committed batch did.
    pub fn moved(&self, moves: &[Move]) {
        for a_move in moves {
            self.left(a_move);
            if a_move.is_end() {
                self.ended(a_move);
            }
        }
    }

    fn left(&self, Move { from, step, trace, .. }: &Move) {
        let times = match from {
            State::Reserving => &self.reserving,
            State::Charging => &self.charging,
            State::Compensating(_) => &self.compensating,
            State::Confirmed | State::Rejected(_) | State::Cancelled => return,
        };
        if let Some(step) = step {
            times.observe_with(step.as_secs_f64(), *trace);
        }
    }

    fn ended(&self, Move { to, age, revenue, trace, .. }: &Move) {
        let end = match to {
            State::Confirmed => &self.confirmed,
            State::Rejected(_) => &self.rejected,
            _ => &self.cancelled,
        };
        end.ended.inc();
        end.settled.observe_with(age.as_secs_f64(), *trace);
        // Cancelled orders are left out: their duration depends on the customer.
        if matches!(to, State::Confirmed | State::Rejected(_)) {
            self.settle_latency.took(*age);
        }
        if let Some((currency, total_minor)) = revenue {
            let total = u64::try_from(*total_minor).unwrap_or_default();
            self.revenue.with_label_values(&[currency]).inc_by(total);
        }
    }

    /// Counts a step that was re-sent.
    pub fn resent(&self, compensating: bool) {
        let counter = if compensating { &self.compensation_resends } else { &self.resends };
        counter.inc();
    }
}
