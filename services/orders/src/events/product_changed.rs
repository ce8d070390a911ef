//! `ProductChanged`: a product was added, changed or taken out.

use flotilla_messaging::Event;
use flotilla_money::{Amount, Currency};
use flotilla_proto::inventory::v1::ProductChanged;

use super::{Reader, decode};
use crate::storage::catalogue::Product;

/// Reads the message.
pub const READER: Reader<Option<Product>> = Reader::of::<ProductChanged>(read);

fn read(event: &Event) -> Result<Option<Product>, String> {
    let message: ProductChanged = decode(event)?;
    if message.product_id.is_empty() || message.price_minor < 0 {
        return Err("a product needs an id and a price that isn't negative".into());
    }
    let currency = Currency::parse(&message.currency_code)
        .ok_or_else(|| format!("currency code {:?} is not known", message.currency_code))?;
    Ok(Some(Product {
        id: message.product_id,
        display_name: message.display_name,
        price: Amount { minor: message.price_minor, currency },
        version: message.version,
        deleted: message.deleted,
    }))
}
