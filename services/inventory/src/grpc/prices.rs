//! `WatchPrices`: a reader of the log. It has a position instead of a queue: nothing is read before the client takes
//! it.
//!
//! A resume token names the bucket, a revision up to which all prices were sent and, within the first round, the last
//! product sent. With a token of another bucket, or one ahead of this bucket, all current prices are sent again. A
//! product whose price stops matching the filter is sent once more, so that no client keeps an outdated price.

use std::collections::HashSet;
use std::sync::Arc;

use flotilla_listing::page::PageTokens;
use flotilla_listing::{Field, Filter, Schema, Value};
use flotilla_proto::inventory::v1::WatchPricesResponse;
use futures::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::domain::product::ProductId;
use crate::prices::{PriceEntry, PriceLog};

/// The fields that `WatchPrices` filters by.
pub static SCHEMA: Schema = Schema {
    key: Field::name("name", "id", "products"),
    fields: &[Field::money("price", "price_minor", "currency"), Field::text("currency_code", "currency")],
    order: "",
};

/// What has been sent to a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The bucket.
    epoch: i64,
    /// All prices up to this revision of it.
    revision: u64,
    /// Within the first round: only prices of products up to this id have been sent.
    up_to: Option<String>,
}

impl Seen {
    /// Whether this price must still be sent to a reader that has seen this much.
    fn lacks(&self, entry: &PriceEntry) -> bool {
        self.is_before(&entry.product) || self.epoch != entry.epoch || entry.at > self.revision
    }

    /// Whether the first round hasn't reached the product yet.
    fn is_before(&self, product: &ProductId) -> bool {
        self.up_to.as_ref().is_some_and(|up_to| product.as_str() > up_to.as_str())
    }
}

/// The progress of a reader.
enum Position {
    /// In the first round through all products, after this one; changes after the position follow later.
    Round { after: Option<ProductId>, position: u64, end: Seen },
    /// Among the changes, after this position.
    Changes(u64),
}

/// A reader.
pub struct Reader {
    log: Arc<PriceLog>,
    filter: Filter,
    tokens: PageTokens,
    query: String,
    seen: Seen,
    position: Position,
    /// Products sent with a price that matched the filter.
    inside: HashSet<ProductId>,
}

impl Reader {
    /// Creates a reader of the prices that match the filter. Tokens are bound to `query`; `seen` is the state at the
    /// end of an earlier stream.
    #[must_use]
    pub fn new(log: Arc<PriceLog>, filter: Filter, tokens: PageTokens, query: String, seen: Option<Seen>) -> Self {
        let mark = log.mark();
        let end = Seen { epoch: mark.epoch, revision: mark.revision, up_to: None };
        let seen = seen.filter(|seen| seen.epoch == mark.epoch && seen.revision <= mark.revision);
        let seen = seen.unwrap_or_else(|| Seen { up_to: Some(String::new()), ..end.clone() });
        let position = Position::Round { after: None, position: mark.position, end };
        Self { log, filter, tokens, query, seen, position, inside: HashSet::new() }
    }

    /// The prices as a stream of responses; never ends by itself.
    pub fn into_stream(self) -> impl Stream<Item = Result<WatchPricesResponse, Status>> + Send + 'static {
        stream::unfold(self, |mut reader| async move {
            let response = reader.next().await;
            Some((Ok(response), reader))
        })
    }

    async fn next(&mut self) -> WatchPricesResponse {
        loop {
            // A long run of products that don't match the filter must not block other tasks.
            tokio::task::consume_budget().await;
            let entry = match &mut self.position {
                Position::Round { .. } => self.next_of_round(),
                Position::Changes(position) => {
                    let position = *position;
                    let entry = self.log.next_change(position);
                    if entry.is_none() {
                        self.log.beyond(position).await;
                    }
                    entry.inspect(|entry| {
                        self.position = Position::Changes(entry.position);
                        self.seen = Seen { epoch: entry.epoch, revision: entry.at, up_to: None };
                    })
                }
            };
            if let Some(entry) = entry.filter(|entry| self.is_asked_for(entry)) {
                return self.response(&entry);
            }
        }
    }

    /// Advances the round by one product and returns its price if the reader lacks it. The round ends after the last
    /// product.
    fn next_of_round(&mut self) -> Option<PriceEntry> {
        let Position::Round { after, position, end } = &mut self.position else { return None };
        let Some(entry) = self.log.next_product(after.as_ref(), *position) else {
            (self.seen, self.position) = (end.clone(), Position::Changes(*position));
            return None;
        };
        *after = Some(entry.product.clone());
        let lacks = self.seen.lacks(&entry);
        if self.seen.is_before(&entry.product) {
            self.seen.up_to = Some(entry.product.to_string());
            // A reader that never got a product need not be told that it was deleted.
            return Some(entry).filter(|entry| !entry.latest.deleted);
        }
        Some(entry).filter(|_| lacks)
    }

    fn is_asked_for(&mut self, entry: &PriceEntry) -> bool {
        let price = |field: &str| match field {
            "name" => Some(Value::from(entry.product.as_str())),
            "price" => Some(Value::from(entry.latest.price)),
            "currency_code" => Some(Value::from(entry.latest.price.currency.code())),
            _ => None,
        };
        // Without a filter, prices can't stop matching, so nothing needs to be remembered.
        if self.filter.condition().is_none() {
            return true;
        }
        if self.filter.matches(&price) && !entry.latest.deleted {
            self.inside.insert(entry.product.clone());
            return true;
        }
        self.inside.remove(&entry.product) || (entry.latest.deleted && self.filter.matches(&price))
    }

    fn response(&self, entry: &PriceEntry) -> WatchPricesResponse {
        WatchPricesResponse {
            product: format!("products/{}", entry.product),
            price: (!entry.latest.deleted).then(|| entry.latest.price.into()),
            version: entry.latest.since,
            deleted: entry.latest.deleted,
            resume_token: self.tokens.sign(&self.seen, &self.query),
        }
    }
}
