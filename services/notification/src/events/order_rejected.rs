//! `OrderRejected`: an order could not be fulfilled.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::orders::v1::{OrderReason, OrderRejected};

use crate::domain::notice::{Cause, Notice};

/// Reads the event.
pub fn read(message: &OrderRejected) -> Result<Option<Notice>, Unreadable> {
    let customer = uuid("customer_id", &message.customer_id)?;
    let order = uuid("order_id", &message.order_id)?;
    let cause = match OrderReason::from_str_name(&message.reason) {
        Some(OrderReason::OutOfStock) => Cause::OutOfStock,
        Some(OrderReason::UnknownProduct) => Cause::UnknownProduct,
        Some(OrderReason::InsufficientFunds) => Cause::InsufficientFunds,
        Some(OrderReason::ReservationExpired | OrderReason::TimedOut) => Cause::TimedOut,
        // A reason that only a newer version of orders knows must not suppress the notice.
        _ => Cause::Other,
    };
    Ok(Some(Notice::order_rejected(customer, order, cause)))
}
