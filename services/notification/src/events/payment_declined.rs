//! `PaymentDeclined`: nothing was charged. A charge that is refused because the refund came first is no news: the customer
//! learns of the refund, and of the order's end.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::payments::v1::{PaymentDecline, PaymentDeclined};

use crate::domain::notice::{Cause, Notice};

/// Reads the event.
pub fn read(message: &PaymentDeclined) -> Result<Option<Notice>, Unreadable> {
    let customer = uuid("customer_id", &message.customer_id)?;
    let order = uuid("order_id", &message.order_id)?;
    let cause = match message.decline() {
        PaymentDecline::InsufficientFunds => Cause::InsufficientFunds,
        PaymentDecline::CurrencyMismatch => Cause::CurrencyMismatch,
        PaymentDecline::AccountClosed => Cause::AccountClosed,
        PaymentDecline::Refunded => return Ok(None),
        PaymentDecline::Refused | PaymentDecline::Unspecified => Cause::Other,
    };
    Ok(Some(Notice::payment_declined(customer, order, cause)))
}
