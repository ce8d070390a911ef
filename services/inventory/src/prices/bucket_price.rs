//! A price as the bucket holds it, and how a newer one is written there.

use flotilla_messaging::{Error as MessagingError, Kept, OpenBucket};
use flotilla_money::{Amount, Currency};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::Board;
use crate::domain::price::{Latest, News};

/// Attempts at one write; each one lost means that another writer's has succeeded.
const ATTEMPTS: usize = 16;
/// Writes under way at once.
const WRITES: usize = 32;

/// A price with its place in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketPrice {
    /// The price.
    pub latest: Latest,
    /// The revision that brought it; later ones may have said the same.
    pub at: u64,
}

/// The value in the bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Value {
    price_minor: i64,
    currency: String,
    deleted: bool,
    since: i64,
    seen: i64,
    /// The revision that brought the price; 0: this one.
    at: u64,
}

impl BucketPrice {
    /// Reads a value that was written at `revision`; `None` if it isn't one of ours.
    #[must_use]
    pub fn read(value: &[u8], revision: u64) -> Option<Self> {
        let Value { price_minor, currency, deleted, since, seen, at } = serde_json::from_slice(value).ok()?;
        let price = Amount { minor: price_minor, currency: Currency::parse(&currency)? };
        let at = if at == 0 { revision } else { at };
        Some(Self { latest: Latest { price, deleted, since, seen }, at })
    }

    /// The price to write after the news, if they are news; `at` is 0 where they bring another price.
    fn hearing(found: Option<&Self>, news: &News) -> Option<Self> {
        let Some(found) = found else { return Some(Self { latest: Latest::first(news), at: 0 }) };
        let latest = found.latest.hearing(news)?;
        Some(Self { latest, at: if latest.same(&found.latest) { found.at } else { 0 } })
    }

    fn write(&self) -> Vec<u8> {
        let Latest { price, deleted, since, seen } = self.latest;
        let (price_minor, currency) = (price.minor, price.currency.code().to_owned());
        let value = Value { price_minor, currency, deleted, since, seen, at: self.at };
        serde_json::to_vec(&value).expect("numbers and texts are JSON")
    }
}

/// Writes prices to the bucket, many at once. Returns the last revision that was written, if any was.
///
/// # Errors
/// The broker is away, or others write without end. Some may have been written.
pub async fn write(bucket: &OpenBucket, board: &Board, news: Vec<News>) -> Result<Option<u64>, MessagingError> {
    let writes = stream::iter(news).map(|news| async move { write_one(bucket, board, &news).await });
    writes.buffer_unordered(WRITES).try_fold(None, |last, written| async move { Ok(last.max(written)) }).await
}

/// Writes one price. Where another writer was faster, its value is read and compared; a stale price changes nothing.
async fn write_one(bucket: &OpenBucket, board: &Board, news: &News) -> Result<Option<u64>, MessagingError> {
    let key = news.product.as_str();
    // What the board has seen is most often what is there.
    let (mut price, mut revision) = match board.kept(bucket.created, &news.product) {
        Some((price, revision)) => (Some(price), revision),
        None => read(bucket, key).await?,
    };
    for _ in 0..ATTEMPTS {
        let Some(next) = BucketPrice::hearing(price.as_ref(), news) else { return Ok(None) };
        if let Some(written) = bucket.put(key, next.write().into(), revision).await? {
            return Ok(Some(written));
        }
        (price, revision) = read(bucket, key).await?;
    }
    Err(MessagingError::Broker(flotilla_messaging::BrokerError::Unavailable(format!("{key} is written without end"))))
}

async fn read(bucket: &OpenBucket, key: &str) -> Result<(Option<BucketPrice>, u64), MessagingError> {
    Ok(match bucket.get(key).await? {
        Some(Kept { value, revision, .. }) => (value.and_then(|value| BucketPrice::read(&value, revision)), revision),
        None => (None, 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::product::ProductId;

    fn news(version: i64, minor: i64) -> News {
        let price = Amount { minor, currency: Currency::parse("EUR").expect("known") };
        News { product: ProductId::parse("tea").expect("an id"), price, deleted: false, version }
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let price = BucketPrice::hearing(None, &news(3, 125)).expect("news");
        assert_eq!(BucketPrice::read(&price.write(), 9), Some(BucketPrice { at: 9, ..price }));
        for rubbish in ["", "{}", r#"{"price_minor":1,"currency":"XXX","deleted":false,"since":1,"seen":1,"at":1}"#] {
            assert_eq!(BucketPrice::read(rubbish.as_bytes(), 9), None, "{rubbish}");
        }
    }

    #[test]
    fn a_version_that_leaves_the_price_keeps_the_revision_that_brought_it() {
        let found = BucketPrice { at: 9, ..BucketPrice::hearing(None, &news(3, 125)).expect("news") };
        assert_eq!(BucketPrice::hearing(Some(&found), &news(4, 125)).expect("news").at, 9);
        assert_eq!(BucketPrice::hearing(Some(&found), &news(4, 126)).expect("news").at, 0);
        assert_eq!(BucketPrice::hearing(Some(&found), &news(3, 127)), None);
    }
}
