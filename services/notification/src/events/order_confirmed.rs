//! `OrderConfirmed`: an order was paid and its stock is shipped.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::orders::v1::OrderConfirmed;

use crate::domain::notice::{Notice, amount};

/// Reads the event.
pub fn read(message: &OrderConfirmed) -> Result<Option<Notice>, Unreadable> {
    let customer = uuid("customer_id", &message.customer_id)?;
    let order = uuid("order_id", &message.order_id)?;
    let total = amount(message.total_minor, &message.currency_code)?;
    Ok(Some(Notice::order_confirmed(customer, order, total)))
}
