//! The events of the catalogue's changes, for services that keep a copy of it.

use flotilla_clock::Ids;
use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::{PriceChanged, ProductChanged};

use crate::domain::product::Product;

/// The events of one change: always `ProductChanged`, and `PriceChanged` if a product's price has changed.
#[must_use]
pub fn changed(ids: &Ids, after: &Product, before: Option<&Product>, deleted: bool) -> Vec<Event> {
    let product_id = after.id.to_string();
    let price = after.details.price;
    let (price_minor, currency_code) = (price.minor, price.currency.code().to_owned());
    let message = ProductChanged {
        product_id: product_id.clone(),
        display_name: after.details.display_name.clone(),
        price_minor,
        currency_code: currency_code.clone(),
        version: after.version,
        deleted,
    };
    let traceparent = flotilla_rpc::current_traceparent();
    let event = |event: Event| event.traced(traceparent.clone());
    let mut events = vec![event(Event::new(ids.next(), &message, &after.id, after.version, ids.now()))];
    if before.is_some_and(|before| before.details.price != price) {
        let message = PriceChanged { product_id, price_minor, currency_code, version: after.version };
        events.push(event(Event::new(ids.next(), &message, &after.id, after.version, ids.now())));
    }
    events
}
