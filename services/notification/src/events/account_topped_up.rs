//! `AccountToppedUp`: money was added to an account.

use flotilla_messaging::Event;
use flotilla_proto::payments::v1::AccountToppedUp;

use crate::domain::notice::{Notice, amount};

/// Reads the event.
pub fn read(event: &Event) -> Result<Option<Notice>, String> {
    let message: AccountToppedUp = super::decode(event)?;
    let customer = super::uuid("customer_id", &message.customer_id)?;
    let added = amount(message.amount_minor, &message.currency_code)?;
    Ok(Some(Notice::account_topped_up(customer, added)))
}
