//! `ProductChanged`: a product was added, changed or deleted.

use flotilla_money::{Amount, Currency};
use flotilla_proto::inventory::v1::ProductChanged;

use super::Unreadable;
use crate::storage::catalogue::Product;

/// Reads the message.
pub fn read(message: &ProductChanged) -> Result<Option<Product>, Unreadable> {
    if message.product_id.is_empty() || message.price_minor < 0 {
        return Err("a product needs an id and a price that isn't negative".into());
    }
    let currency = Currency::parse(&message.currency_code)
        .ok_or_else(|| format!("currency code {:?} is not known", message.currency_code))?;
    Ok(Some(Product {
        id: message.product_id.clone(),
        display_name: message.display_name.clone(),
        price: Amount { minor: message.price_minor, currency },
        version: message.version,
        deleted: message.deleted,
    }))
}
