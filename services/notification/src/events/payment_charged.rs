//! `PaymentCharged`: an order was paid.

use flotilla_messaging::Event;
use flotilla_proto::payments::v1::PaymentCharged;

use crate::domain::notice::{Notice, amount};

/// Reads the event.
pub fn read(event: &Event) -> Result<Option<Notice>, String> {
    let message: PaymentCharged = super::decode(event)?;
    let customer = super::uuid("customer_id", &message.customer_id)?;
    let order = super::uuid("order_id", &message.order_id)?;
    let charged = amount(message.amount_minor, &message.currency_code)?;
    Ok(Some(Notice::payment_charged(customer, order, charged)))
}
