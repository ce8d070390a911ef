//! `OrderCancelled`: an order was cancelled.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::orders::v1::OrderCancelled;

use crate::domain::notice::Notice;

/// Reads the event.
pub fn read(message: &OrderCancelled) -> Result<Option<Notice>, Unreadable> {
    let customer = uuid("customer_id", &message.customer_id)?;
    let order = uuid("order_id", &message.order_id)?;
    Ok(Some(Notice::order_cancelled(customer, order)))
}
