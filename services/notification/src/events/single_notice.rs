//! The flag `single-notice`: a customer gets one notice per order, at its end, and none for the steps of its payment.
//!
//! Guarantees: an order is treated the same way throughout, even if the flag changes meanwhile: the first step decides,
//! in the transaction that records its notice (or doesn't). If the flag was never defined, nothing is written.

use std::collections::BTreeMap;

use flotilla_flags::{Context, Flags};
use flotilla_messaging::HandlerError;
use flotilla_postgres::Tx;
use uuid::Uuid;

use crate::storage::{self, Delivery, Step};

/// The flag: whether a customer gets one notice per order.
const SINGLE_NOTICE: &str = "single-notice";

/// Drops the notices of steps for customers who get one notice per order.
#[derive(Debug, Clone)]
pub struct SingleNotice {
    flags: Flags,
}

impl SingleNotice {
    /// Evaluates these flags.
    #[must_use]
    pub fn new(flags: Flags) -> Self {
        Self { flags }
    }

    /// Removes the deliveries for steps of orders that get one notice.
    pub(super) async fn without_steps(
        &self,
        tx: &Tx,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Delivery>, HandlerError> {
        let steps = steps(&deliveries);
        if steps.is_empty() {
            return Ok(deliveries);
        }
        let orders: Vec<Uuid> = steps.keys().copied().collect();
        if self.flags.defines(SINGLE_NOTICE) {
            storage::decide(tx, &self.decisions(steps).await).await?;
        }
        let single = storage::single(tx, &orders).await?;
        if single.is_empty() {
            return Ok(deliveries);
        }
        let is_kept = |delivery: &Delivery| step(delivery).is_none_or(|(order, _)| !single.contains(&order));
        Ok(deliveries.into_iter().filter(is_kept).collect())
    }

    /// The value of the flag for each order, evaluated once per customer.
    async fn decisions(&self, steps: BTreeMap<Uuid, Step>) -> Vec<Step> {
        let mut wanted: BTreeMap<Uuid, bool> = BTreeMap::new();
        let mut decisions: Vec<Step> = steps.into_values().collect();
        for step in &mut decisions {
            step.single = match wanted.get(&step.customer) {
                Some(single) => *single,
                None => {
                    let single = self.flags.boolean(SINGLE_NOTICE, &Context::user(step.customer), false).await;
                    wanted.insert(step.customer, single);
                    single
                }
            };
        }
        decisions
    }
}

/// The order of a delivery for a step, and whether the step is a refund.
fn step(delivery: &Delivery) -> Option<(Uuid, bool)> {
    let notice = &delivery.notice;
    notice.kind.is_step().then_some((notice.order?, notice.kind.is_refund()))
}

/// The orders with steps in the batch, each once.
fn steps(deliveries: &[Delivery]) -> BTreeMap<Uuid, Step> {
    let mut steps = BTreeMap::new();
    for delivery in deliveries {
        if let Some((order, refund)) = step(delivery) {
            let step = Step { order, customer: delivery.notice.customer, single: false, refund };
            steps.entry(order).or_insert(step).refund |= refund;
        }
    }
    steps
}
