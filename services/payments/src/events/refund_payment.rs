//! The command `RefundPayment`: refund an order, or make sure that it is never charged.

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Unreadable, registry::uuid};
use flotilla_proto::payments::v1::{PaymentRefunded, RefundPayment};

use super::commands::{Command, Target};
use crate::domain::Refunded;

pub fn read(message: &RefundPayment) -> Result<Command, Unreadable> {
    Ok(Command::Refund(Target {
        order: uuid("order_id", &message.order_id)?,
        customer: uuid("customer_id", &message.customer_id)?,
    }))
}

pub fn reply(ids: &Ids, target: Target, answer: Refunded) -> Event {
    let refunded = PaymentRefunded {
        order_id: target.order.to_string(),
        customer_id: target.customer.to_string(),
        charged: answer.returned.is_some(),
        amount_minor: answer.returned.map_or(0, |amount| amount.minor),
        currency_code: answer.returned.map(|amount| amount.currency.code().to_owned()).unwrap_or_default(),
    };
    super::reply(ids, &refunded, target)
}
