//! `WatchPrices`: a reader of the board. It has a position, not a queue: nothing is read before the client takes it.
//!
//! A resume token names the bucket, a revision up to which all prices were sent and, within the first round, the last
//! product sent. With a token of another bucket, or ahead of this one, all present prices are sent again. A product
//! whose price leaves the filter is sent once more, so that no client keeps an outdated price.

use std::collections::HashSet;
use std::sync::Arc;

use flotilla_listing::page::PageTokens;
use flotilla_listing::{Field, Filter, Schema, Value};
use flotilla_proto::inventory::v1::WatchPricesResponse;
use futures::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::domain::product::ProductId;
use crate::prices::{Board, Told};

/// What may be asked of a price.
pub static SCHEMA: Schema = Schema {
    key: Field::name("name", "id", "products"),
    fields: &[Field::money("price", "price_minor", "currency"), Field::text("currency_code", "currency")],
    order: "",
};

/// What a reader has been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The bucket.
    epoch: i64,
    /// All prices up to this revision of it.
    revision: u64,
    /// Within the first round: only of products up to this id; of those after it none.
    up_to: Option<String>,
}

impl Seen {
    /// Whether a reader who has seen so much must still be told this.
    fn lacks(&self, told: &Told) -> bool {
        self.is_before(&told.product) || self.epoch != told.epoch || told.at > self.revision
    }

    /// Whether the first round has yet to come to the product.
    fn is_before(&self, product: &ProductId) -> bool {
        self.up_to.as_ref().is_some_and(|up_to| product.as_str() > up_to.as_str())
    }
}

/// Where a reader stands.
enum Place {
    /// In the round through all products, after this one; changes after the place come later.
    Round { after: Option<ProductId>, place: u64, end: Seen },
    /// Among the changes, after this place.
    Changes(u64),
}

/// A reader.
pub struct Reader {
    board: Arc<Board>,
    filter: Filter,
    tokens: PageTokens,
    query: String,
    seen: Seen,
    place: Place,
    /// Products told with a price that the filter let through.
    inside: HashSet<ProductId>,
}

impl Reader {
    /// A reader of what the filter lets through. `query` binds its tokens, `seen` is what an earlier one ended with.
    #[must_use]
    pub fn new(board: Arc<Board>, filter: Filter, tokens: PageTokens, query: String, seen: Option<Seen>) -> Self {
        let mark = board.mark();
        let end = Seen { epoch: mark.epoch, revision: mark.revision, up_to: None };
        let seen = seen.filter(|seen| seen.epoch == mark.epoch && seen.revision <= mark.revision);
        let seen = seen.unwrap_or_else(|| Seen { up_to: Some(String::new()), ..end.clone() });
        let place = Place::Round { after: None, place: mark.place, end };
        Self { board, filter, tokens, query, seen, place, inside: HashSet::new() }
    }

    /// The prices as responses; never ends by itself.
    pub fn into_stream(self) -> impl Stream<Item = Result<WatchPricesResponse, Status>> + Send + 'static {
        stream::unfold(self, |mut reader| async move {
            let response = reader.next().await;
            Some((Ok(response), reader))
        })
    }

    async fn next(&mut self) -> WatchPricesResponse {
        loop {
            // A long way through what nobody asked for must not keep others from their turn.
            tokio::task::consume_budget().await;
            let told = match &mut self.place {
                Place::Round { .. } => self.next_of_round(),
                Place::Changes(place) => {
                    let place = *place;
                    let told = self.board.next_change(place);
                    if told.is_none() {
                        self.board.beyond(place).await;
                    }
                    told.inspect(|told| {
                        self.place = Place::Changes(told.place);
                        self.seen = Seen { epoch: told.epoch, revision: told.at, up_to: None };
                    })
                }
            };
            if let Some(told) = told.filter(|told| self.is_asked_for(told)) {
                return self.response(&told);
            }
        }
    }

    /// The next product of the round that the reader lacks, if this one is; nothing ends the round.
    fn next_of_round(&mut self) -> Option<Told> {
        let Place::Round { after, place, end } = &mut self.place else { return None };
        let Some(told) = self.board.next_product(after.as_ref(), *place) else {
            (self.seen, self.place) = (end.clone(), Place::Changes(*place));
            return None;
        };
        *after = Some(told.product.clone());
        let lacks = self.seen.lacks(&told);
        if self.seen.is_before(&told.product) {
            self.seen.up_to = Some(told.product.to_string());
            // Who was never told of a product need not learn that it is gone.
            return Some(told).filter(|told| !told.latest.deleted);
        }
        Some(told).filter(|_| lacks)
    }

    fn is_asked_for(&mut self, told: &Told) -> bool {
        let price = |field: &str| match field {
            "name" => Some(Value::from(told.product.as_str())),
            "price" => Some(Value::from(told.latest.price)),
            "currency_code" => Some(Value::from(told.latest.price.currency.code())),
            _ => None,
        };
        // Without a filter there is nothing to leave, and nothing to remember.
        if self.filter.condition().is_none() {
            return true;
        }
        if self.filter.matches(&price) && !told.latest.deleted {
            self.inside.insert(told.product.clone());
            return true;
        }
        self.inside.remove(&told.product) || (told.latest.deleted && self.filter.matches(&price))
    }

    fn response(&self, told: &Told) -> WatchPricesResponse {
        WatchPricesResponse {
            product: format!("products/{}", told.product),
            price: (!told.latest.deleted).then(|| told.latest.price.into()),
            version: told.latest.since,
            deleted: told.latest.deleted,
            resume_token: self.tokens.sign(&self.seen, &self.query),
        }
    }
}
