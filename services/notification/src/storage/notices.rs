//! Which orders get a single notice at their end.

use std::collections::HashSet;

use flotilla_postgres::{Error, Tx};
use uuid::Uuid;

/// An order with a consumed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The order.
    pub order: Uuid,
    /// The customer.
    pub customer: Uuid,
    /// Whether it gets a single notice.
    pub single: bool,
    /// Whether the step is a refund, which is an order's second step.
    pub refund: bool,
}

/// Stores the decision for each order that has none yet. Locks the new orders in the order of their ids.
///
/// # Errors
/// The database's error.
pub async fn decide(tx: &Tx, steps: &[Step]) -> Result<(), Error> {
    let orders: Vec<Uuid> = steps.iter().map(|step| step.order).collect();
    let customers: Vec<Uuid> = steps.iter().map(|step| step.customer).collect();
    let singles: Vec<bool> = steps.iter().map(|step| step.single).collect();
    let refunds: Vec<bool> = steps.iter().map(|step| step.refund).collect();
    let sql = include_str!("../../queries/decide_notices.sql");
    tx.execute(sql, &[&orders, &customers, &singles, &refunds]).await.map(drop)
}

/// Which of these orders get a single notice.
///
/// # Errors
/// The database's error.
pub async fn single(tx: &Tx, orders: &[Uuid]) -> Result<HashSet<Uuid>, Error> {
    let rows = tx.query(include_str!("../../queries/single_notices.sql"), &[&orders]).await?;
    rows.iter().map(|row| row.get("order_id")).collect()
}
