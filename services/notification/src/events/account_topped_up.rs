//! `AccountToppedUp`: money was added to an account.

use flotilla_messaging::{Unreadable, registry::uuid};
use flotilla_proto::payments::v1::AccountToppedUp;

use crate::domain::notice::{Notice, amount};

/// Reads the event.
pub fn read(message: &AccountToppedUp) -> Result<Option<Notice>, Unreadable> {
    let customer = uuid("customer_id", &message.customer_id)?;
    let added = amount(message.amount_minor, &message.currency_code)?;
    Ok(Some(Notice::account_topped_up(customer, added)))
}
