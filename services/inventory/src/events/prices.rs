//! The consumer of the catalogue's own changes: writes each one's price to the bucket that all replicas watch.
//!
//! In the database it writes only how far the bucket was written. A redelivery is harmless: a stale update changes
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use flotilla_messaging::{Event, Handler, HandlerError, Outcome, Registry, Unreadable};
use flotilla_money::{Amount, Currency};
use flotilla_postgres::Tx;
use flotilla_proto::events::consumers;
use flotilla_proto::inventory::v1::{PriceChanged, ProductChanged};

use crate::domain::price::PriceUpdate;
use crate::domain::product::ProductId;
use crate::prices::{OpenBucketSlot, PriceLog, write};
use crate::storage::price_bucket;

/// The catalogue's changes. `ProductChanged` has everything; `PriceChanged` is published with it and adds nothing.
#[must_use]
fn changes() -> Registry<Option<PriceUpdate>> {
    Registry::of(&consumers::INVENTORY_PRICES).on(read).ignore::<PriceChanged>()
}

/// Writes prices to the bucket.
pub struct Prices {
    registry: Registry<Option<PriceUpdate>>,
    log: Arc<PriceLog>,
    open_bucket: OpenBucketSlot,
}

impl Prices {
    /// Writes to the open bucket; `log` knows what it holds already.
    #[must_use]
    pub fn new(log: Arc<PriceLog>, open_bucket: OpenBucketSlot) -> Self {
        Self { registry: changes(), log, open_bucket }
    }
}

#[async_trait]
impl Handler<Tx> for Prices {
    fn knows(&self, kind: &str) -> bool {
        self.registry.knows(kind)
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let (newest, outcomes) = newest(&self.registry, events);
        if newest.is_empty() {
            return Ok(outcomes);
        }
        let bucket = self.open_bucket.get().await;
        let bucket = bucket.ok_or_else(|| HandlerError::Other("the bucket of prices is not open".to_owned()))?;
        let updates = newest.into_values().collect();
        let written = write(&bucket, &self.log, updates).await;
        if let Some(revision) = written.map_err(|error| HandlerError::Other(error.to_string()))? {
            price_bucket::note(tx, &bucket, revision).await?;
        }
        Ok(outcomes)
    }
}

/// The newest price of each product among the events, whatever their order, and the outcome of each event.
fn newest(
    registry: &Registry<Option<PriceUpdate>>,
    events: &[Event],
) -> (HashMap<ProductId, PriceUpdate>, Vec<Outcome>) {
    let mut newest: HashMap<ProductId, PriceUpdate> = HashMap::new();
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events {
        outcomes.push(match registry.read(event) {
            Ok(Some(update)) => {
                if newest.get(&update.product).is_none_or(|known| known.version < update.version) {
                    newest.insert(update.product.clone(), update);
                }
                Outcome::Done(Vec::new())
            }
            Ok(None) => Outcome::Done(Vec::new()),
            Err(why) => Outcome::DeadLetter(why),
        });
    }
    (newest, outcomes)
}

fn read(message: &ProductChanged) -> Result<Option<PriceUpdate>, Unreadable> {
    let ProductChanged { product_id, price_minor, currency_code, version, deleted, .. } = message;
    let product = ProductId::parse(product_id).ok_or("product_id is not an id")?;
    let currency = Currency::parse(currency_code).ok_or("currency_code is not known")?;
    Ok(Some(PriceUpdate {
        product,
        price: Amount { minor: *price_minor, currency },
        deleted: *deleted,
        version: *version,
    }))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;

    fn changed(product: &str, version: i64) -> Event {
        let message = ProductChanged {
            product_id: product.into(),
            price_minor: version * 100,
            currency_code: "USD".into(),
            version,
            ..ProductChanged::default()
        };
        Event::new(Uuid::from_u128(1), &message, product, version, UNIX_EPOCH)
    }

    #[test]
    fn of_several_versions_in_one_frame_the_newest_counts_wherever_it_stands() {
        let frame = [("tea", 2), ("tea", 5), ("cup", 1), ("tea", 4), ("tea", 3)];
        let events: Vec<Event> = frame.iter().map(|(product, version)| changed(product, *version)).collect();
        let (newest, outcomes) = newest(&changes(), &events);
        let mut found: Vec<_> =
            newest.values().map(|update| (update.product.as_str(), update.version, update.price.minor)).collect();
        found.sort_unstable();
        assert_eq!(found, [("cup", 1, 100), ("tea", 5, 500)]);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(events) if events.is_empty())));
    }

    #[test]
    fn what_cannot_be_read_is_a_dead_letter_and_its_neighbours_count() {
        let mut broken = changed("tea", 2);
        broken.data = vec![0xff].into();
        let (newest, outcomes) = newest(&changes(), &[broken, changed("cup", 1)]);
        assert_eq!(newest.len(), 1);
        assert!(matches!(outcomes[..], [Outcome::DeadLetter(_), Outcome::Done(_)]));
    }
}
