//! `PaymentDeclined`: nothing was charged.

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
        PaymentDecline::Refunded => Cause::TooLate,
        PaymentDecline::Refused | PaymentDecline::Unspecified => Cause::Other,
    };
    Ok(Some(Notice::payment_declined(customer, order, cause)))
}
