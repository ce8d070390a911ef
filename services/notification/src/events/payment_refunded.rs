//! `PaymentRefunded`: no money is taken for the order any more; makes a notice only if some had been.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::payments::v1::PaymentRefunded;

use crate::domain::notice::{Notice, amount};

/// Reads the event.
pub fn read(message: &PaymentRefunded) -> Result<Option<Notice>, Unreadable> {
    if !message.charged {
        return Ok(None);
    }
    let customer = uuid("customer_id", &message.customer_id)?;
    let order = uuid("order_id", &message.order_id)?;
    let refunded = amount(message.amount_minor, &message.currency_code)?;
    Ok(Some(Notice::payment_refunded(customer, order, refunded)))
}
