//! An order as shown to its customer.

use std::time::SystemTime;

use flotilla_money::{Amount, Currency};
use uuid::Uuid;

use super::pricing::PricedLine;

/// An order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// UUID version 7.
    pub id: Uuid,
    /// The customer.
    pub customer_id: Uuid,
    /// Name of its state; see [`super::names`].
    pub state: String,
    /// Name of the reason for its end.
    pub reason: Option<String>,
    /// The lines, by product.
    pub lines: Vec<PricedLine>,
    /// Sum of the lines.
    pub total: Amount,
    /// Counts the changes of the state.
    pub version: i64,
    /// When it was accepted, by the database's clock.
    pub created_at: SystemTime,
    /// When it ended, by the database's clock.
    pub ended_at: Option<SystemTime>,
}

impl Order {
    /// Whether the order has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// The currency of all its amounts.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.total.currency
    }
}
