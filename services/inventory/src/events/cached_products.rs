//! The consumer that invalidates changed products in the gateway's cache.
//!
//! The gateway does so itself for the changes that pass through it; this consumer does it for all: imports, changes
//! through other addresses, and those whose gateway died before it could. An event has the product's version, so one that
//! arrives late or more than once removes no newer value. While Redis doesn't respond, the batch is retried.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flotilla_cache::Invalidator;
use flotilla_messaging::{Claim, Event, Handler, HandlerError, Outcome, Registry, Unreadable};
use flotilla_postgres::Tx;
use flotilla_proto::events::consumers;
use flotilla_proto::inventory::v1::{PriceChanged, ProductChanged};
use futures::future::join_all;

use crate::domain::product::ProductId;

/// A product's resource name and its version.
type Change = (String, u64);

/// Invalidates changed products.
pub struct CachedProducts {
    registry: Registry<Option<Change>>,
    invalidator: Option<Invalidator>,
}

impl CachedProducts {
    /// Invalidates by `invalidator`; without one, nothing.
    #[must_use]
    pub fn new(invalidator: Option<Invalidator>) -> Self {
        Self { registry: changes(), invalidator }
    }
}

/// `ProductChanged` is published for each change; `PriceChanged` is published in addition and is ignored here.
fn changes() -> Registry<Option<Change>> {
    Registry::of(&consumers::INVENTORY_CACHE).on(read).ignore::<PriceChanged>()
}

#[async_trait]
impl Handler<Tx> for CachedProducts {
    fn knows(&self, kind: &str) -> bool {
        self.registry.knows(kind)
    }

    /// Idempotent: an invalidation names the version.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, _tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let (newest, outcomes) = changed(&self.registry, events);
        if let Some(invalidator) = &self.invalidator {
            let all = newest.iter().map(|(name, version)| invalidator.invalidate(name, Some(*version)));
            if join_all(all).await.contains(&false) {
                return Err(HandlerError::Other("the cache does not respond".to_owned()));
            }
        }
        Ok(outcomes)
    }
}

/// The newest version of each product that the events are about, and the outcome of each event.
fn changed(registry: &Registry<Option<Change>>, events: &[Event]) -> (BTreeMap<String, u64>, Vec<Outcome>) {
    let mut newest = BTreeMap::<_, u64>::new();
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events {
        outcomes.push(match registry.read(event) {
            Ok(change) => {
                if let Some((name, version)) = change {
                    let known = newest.entry(name).or_default();
                    *known = version.max(*known);
                }
                Outcome::Done(Vec::new())
            }
            Err(why) => Outcome::DeadLetter(why),
        });
    }
    (newest, outcomes)
}

fn read(message: &ProductChanged) -> Result<Option<Change>, Unreadable> {
    let product = ProductId::parse(&message.product_id).ok_or("product_id is not an id")?;
    let version = u64::try_from(message.version).map_err(|_| "version is negative")?;
    Ok(Some((format!("products/{product}"), version)))
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
    fn of_several_changes_of_a_product_the_newest_counts_in_any_order() {
        let frame = [("tea", 2), ("tea", 5), ("cup", 1), ("tea", 4)].map(|(product, version)| event(product, version));
        let (newest, outcomes) = changed(&changes(), &frame);
        assert_eq!(newest, BTreeMap::from([("products/cup".to_owned(), 1), ("products/tea".to_owned(), 5)]));
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done(events) if events.is_empty())));
    }

    #[test]
    fn an_unreadable_event_becomes_a_dead_letter_and_the_others_count() {
        let (newest, outcomes) = changed(&changes(), &[event("no id!", 1), event("tea", -1), event("cup", 1)]);
        assert_eq!(newest.len(), 1);
        assert!(matches!(outcomes[..], [Outcome::DeadLetter(_), Outcome::DeadLetter(_), Outcome::Done(_)]));
    }
}
