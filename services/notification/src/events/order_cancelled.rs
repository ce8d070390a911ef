//! `OrderCancelled`: an order was cancelled.

use flotilla_messaging::Event;
use flotilla_proto::orders::v1::OrderCancelled;

use crate::domain::notice::Notice;

/// Reads the event.
pub fn read(event: &Event) -> Result<Option<Notice>, String> {
    let message: OrderCancelled = super::decode(event)?;
    let customer = super::uuid("customer_id", &message.customer_id)?;
    let order = super::uuid("order_id", &message.order_id)?;
    Ok(Some(Notice::order_cancelled(customer, order)))
}
