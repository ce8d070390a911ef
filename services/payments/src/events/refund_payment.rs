//! The command `RefundPayment`: give an order's money back, or see to it that none is ever taken.

use flotilla_messaging::{Event, Ids};
use flotilla_proto::payments::v1::{PaymentRefunded, RefundPayment};

use super::{
    Unreadable,
    commands::{Command, Target},
    decode, event, parse_id,
};
use crate::domain::Refunded;

pub const KIND: &str = "flotilla.payments.v1.RefundPayment";

pub fn read(event: &Event) -> Result<Command, Unreadable> {
    let message: RefundPayment = decode(event)?;
    Ok(Command::Refund(Target {
        order: parse_id("order_id", &message.order_id)?,
        customer: parse_id("customer_id", &message.customer_id)?,
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
    event(ids, &refunded, target.customer)
}
