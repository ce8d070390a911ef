//! The consumer of the catalogue's own changes: writes each one's price to the bucket that all replicas watch.
//!
//! Of the database it writes only how far the bucket was written. Coming again is harmless: stale news change nothing.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use flotilla_messaging::{Event, Handler, HandlerError, Outcome, Registry, Unreadable};
use flotilla_money::{Amount, Currency};
use flotilla_postgres::Tx;
use flotilla_proto::events::consumers;
use flotilla_proto::inventory::v1::{PriceChanged, ProductChanged};

use crate::domain::price::News;
use crate::domain::product::ProductId;
use crate::prices::{Board, OpenBucketSlot, write};
use crate::storage::price_bucket;

/// The catalogue's changes. `ProductChanged` says all; `PriceChanged` comes beside it and says no more.
#[must_use]
fn changes() -> Registry<Option<News>> {
    Registry::of(&consumers::INVENTORY_PRICES).on(read).ignore::<PriceChanged>()
}

/// Writes prices to the bucket.
pub struct Prices {
    registry: Registry<Option<News>>,
    board: Arc<Board>,
    open_bucket: OpenBucketSlot,
}

impl Prices {
    /// Writes to the open bucket; `board` tells what it holds already.
    #[must_use]
    pub fn new(board: Arc<Board>, open_bucket: OpenBucketSlot) -> Self {
        Self { registry: changes(), board, open_bucket }
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
        let news = newest.into_values().collect();
        let written = write(&bucket, &self.board, news).await;
        if let Some(revision) = written.map_err(|error| HandlerError::Other(error.to_string()))? {
            price_bucket::note(tx, &bucket, revision).await?;
        }
        Ok(outcomes)
    }
}

/// The newest price of each product among the events, whatever their order, and the outcome of each event.
fn newest(registry: &Registry<Option<News>>, events: &[Event]) -> (HashMap<ProductId, News>, Vec<Outcome>) {
    let mut newest: HashMap<ProductId, News> = HashMap::new();
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events {
        outcomes.push(match registry.read(event) {
            Ok(Some(news)) => {
                if newest.get(&news.product).is_none_or(|known| known.version < news.version) {
                    newest.insert(news.product.clone(), news);
                }
                Outcome::Done(Vec::new())
            }
            Ok(None) => Outcome::Done(Vec::new()),
            Err(why) => Outcome::DeadLetter(why),
        });
    }
    (newest, outcomes)
}

fn read(message: &ProductChanged) -> Result<Option<News>, Unreadable> {
    let ProductChanged { product_id, price_minor, currency_code, version, deleted, .. } = message;
    let product = ProductId::parse(product_id).ok_or("product_id is not an id")?;
    let currency = Currency::parse(currency_code).ok_or("currency_code is not known")?;
    Ok(Some(News { product, price: Amount { minor: *price_minor, currency }, deleted: *deleted, version: *version }))
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
        let mut told: Vec<_> =
            newest.values().map(|news| (news.product.as_str(), news.version, news.price.minor)).collect();
        told.sort_unstable();
        assert_eq!(told, [("cup", 1, 100), ("tea", 5, 500)]);
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
