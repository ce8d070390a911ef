//! `PaymentCharged`: an order was paid.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::payments::v1::PaymentCharged;

use crate::domain::notice::{Notice, amount};

/// Reads the event.
pub fn read(message: &PaymentCharged) -> Result<Option<Notice>, Unreadable> {
    let customer = uuid("customer_id", &message.customer_id)?;
    let order = uuid("order_id", &message.order_id)?;
    let charged = amount(message.amount_minor, &message.currency_code)?;
    Ok(Some(Notice::payment_charged(customer, order, charged)))
}
