//! The command `ChargePayment`: take an order's total, once.

use flotilla_clock::Ids;
use flotilla_messaging::{Event, Unreadable, registry::uuid};
use flotilla_money::{Amount, Currency};
use flotilla_proto::payments::v1::{ChargePayment, PaymentCharged, PaymentDeclined};

use super::commands::{Command, Target};
use crate::domain::Charged;

pub fn read(message: &ChargePayment) -> Result<Command, Unreadable> {
    let target =
        Target { order: uuid("order_id", &message.order_id)?, customer: uuid("customer_id", &message.customer_id)? };
    if message.amount_minor < 0 {
        return Err("amount_minor is negative".to_owned());
    }
    let currency =
        Currency::parse(&message.currency_code).ok_or_else(|| "currency_code is not a known currency".to_owned())?;
    Ok(Command::Charge(target, Amount { minor: message.amount_minor, currency }))
}

pub fn reply(ids: &Ids, target: Target, answer: Charged) -> Event {
    let (order_id, customer_id) = (target.order.to_string(), target.customer.to_string());
    match answer {
        Charged::Paid(Amount { minor, currency }) => {
            let currency_code = currency.code().to_owned();
            let charged = PaymentCharged { order_id, customer_id, amount_minor: minor, currency_code };
            super::reply(ids, &charged, target)
        }
        Charged::Declined(decline) => {
            let declined = PaymentDeclined { order_id, customer_id, decline: decline.into() };
            super::reply(ids, &declined, target)
        }
    }
}
