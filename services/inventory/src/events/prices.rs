//! The consumer of the catalogue's own changes: writes each changed product's price to the bucket that all replicas
//! watch.
//!
//! An event names the product that has changed; the price is read from the catalogue, in the transaction that records
//! the event in the inbox. So an event that arrives late, more than once, or after a restore has undone its change
//! doesn't bring back an outdated price. The only thing written to the database is the bucket's highest written
//! revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry, Unreadable};
use flotilla_postgres::Tx;
use flotilla_proto::events::consumers;
use flotilla_proto::inventory::v1::{PriceChanged, ProductChanged};

use crate::domain::product::ProductId;
use crate::prices::{OpenBucketSlot, PriceLog, write};
use crate::storage::{catalogue, price_bucket};

/// The catalogue's changes. `ProductChanged` is published for each change; `PriceChanged` is published in addition and
/// is ignored here.
#[must_use]
fn changes() -> Registry<Option<ProductId>> {
    Registry::of(&consumers::INVENTORY_PRICES).on(read).ignore::<PriceChanged>()
}

/// Writes prices to the bucket.
pub struct Prices {
    registry: Registry<Option<ProductId>>,
    log: Arc<PriceLog>,
    open_bucket: OpenBucketSlot,
}

impl Prices {
    /// Creates a writer for the open bucket; `log` has the bucket's known content.
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

    /// Idempotent: a price is always read from the catalogue.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let (products, outcomes) = changed(&self.registry, events);
        if products.is_empty() {
            return Ok(outcomes);
        }
        let bucket = self.open_bucket.get().await;
        let bucket = bucket.ok_or_else(|| HandlerError::Other("the bucket of prices is not open".to_owned()))?;
        let updates = catalogue::prices_of(tx, &products).await?;
        let written = write(&bucket, &self.log, updates).await;
        if let Some(revision) = written.map_err(|error| HandlerError::Other(error.to_string()))? {
            price_bucket::note(tx, &bucket, revision).await?;
        }
        Ok(outcomes)
    }
}

/// The products that the events are about, and the outcome of each event.
fn changed(registry: &Registry<Option<ProductId>>, events: &[Event]) -> (BTreeSet<ProductId>, Vec<Outcome>) {
    let mut products = BTreeSet::new();
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events {
        outcomes.push(match registry.read(event) {
            Ok(product) => {
                products.extend(product);
                Outcome::Done(Vec::new())
            }
            Err(why) => Outcome::DeadLetter(why),
        });
    }
    (products, outcomes)
}

fn read(message: &ProductChanged) -> Result<Option<ProductId>, Unreadable> {
    Ok(Some(ProductId::parse(&message.product_id).ok_or("product_id is not an id")?))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;

    fn event(product: &str, version: i64) -> Event {
        let message = ProductChanged { product_id: product.into(), version, ..ProductChanged::default() };
        Event::new(Uuid::from_u128(1), &message, product, version, UNIX_EPOCH)
    }

    #[test]
    fn a_product_that_changed_several_times_in_one_frame_is_read_once() {
        let frame = [("tea", 2), ("tea", 5), ("cup", 1), ("tea", 4)].map(|(product, version)| event(product, version));
        let (products, outcomes) = changed(&changes(), &frame);
        assert_eq!(products.iter().map(ProductId::as_str).collect::<Vec<_>>(), ["cup", "tea"]);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(events) if events.is_empty())));
    }

    #[test]
    fn an_unreadable_event_becomes_a_dead_letter_and_the_others_count() {
        let mut broken = event("tea", 2);
        broken.data = vec![0xff].into();
        let (products, outcomes) = changed(&changes(), &[broken, event("cup", 1)]);
        assert_eq!(products.len(), 1);
        assert!(matches!(outcomes[..], [Outcome::DeadLetter(_), Outcome::Done(_)]));
    }
}
