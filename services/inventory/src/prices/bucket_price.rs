//! The format of prices in the bucket, and writes of newer prices.

use flotilla_messaging::{BucketEntry, Error as MessagingError, OpenBucket};
use flotilla_money::{Amount, Currency};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::PriceLog;
use crate::domain::price::{Latest, PriceUpdate};

/// Maximum attempts at one write; each lost attempt means that another writer has succeeded.
const ATTEMPTS: usize = 16;
/// Maximum number of concurrent writes.
const WRITES: usize = 32;

/// A price with its revision in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketPrice {
    /// The price.
    pub latest: Latest,
    /// The revision that introduced the price; later ones may have repeated it.
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
    /// The revision that introduced the price; 0: this one.
    at: u64,
}

impl BucketPrice {
    /// Parses a value that was written at `revision`; `None` if it isn't a valid price.
    #[must_use]
    pub fn read(value: &[u8], revision: u64) -> Option<Self> {
        let Value { price_minor, currency, deleted, since, seen, at } = serde_json::from_slice(value).ok()?;
        let price = Amount { minor: price_minor, currency: Currency::parse(&currency)? };
        let at = if at == 0 { revision } else { at };
        Some(Self { latest: Latest { price, deleted, since, seen }, at })
    }

    /// The price to write after the update; `None` if the update is stale. `at` is 0 if the update changes the price.
    fn updated(found: Option<&Self>, update: &PriceUpdate) -> Option<Self> {
        let Some(found) = found else { return Some(Self { latest: Latest::first(update), at: 0 }) };
        let latest = found.latest.updated(update)?;
        Some(Self { latest, at: if latest.same(&found.latest) { found.at } else { 0 } })
    }

    fn write(&self) -> Vec<u8> {
        let Latest { price, deleted, since, seen } = self.latest;
        let (price_minor, currency) = (price.minor, price.currency.code().to_owned());
        let value = Value { price_minor, currency, deleted, since, seen, at: self.at };
        serde_json::to_vec(&value).expect("numbers and texts are JSON")
    }
}

/// Writes prices to the bucket concurrently. Returns the highest written revision, if there is one.
///
/// # Errors
/// The broker is unavailable, or concurrent writers keep winning. Some prices may have been written.
pub async fn write(
    bucket: &OpenBucket,
    log: &PriceLog,
    updates: Vec<PriceUpdate>,
) -> Result<Option<u64>, MessagingError> {
    let writes = stream::iter(updates).map(|update| async move { write_one(bucket, log, &update).await });
    writes.buffer_unordered(WRITES).try_fold(None, |last, written| async move { Ok(last.max(written)) }).await
}

/// Writes one price. If another writer was faster, its value is read and compared; a stale price changes nothing.
async fn write_one(bucket: &OpenBucket, log: &PriceLog, update: &PriceUpdate) -> Result<Option<u64>, MessagingError> {
    let key = update.product.as_str();
    // The log's entry is usually the bucket's current value.
    let (mut price, mut revision) = match log.in_bucket(bucket.created, &update.product) {
        Some((price, revision)) => (Some(price), revision),
        None => read(bucket, key).await?,
    };
    for _ in 0..ATTEMPTS {
        let Some(next) = BucketPrice::updated(price.as_ref(), update) else { return Ok(None) };
        if let Some(written) = bucket.put(key, next.write().into(), revision).await? {
            return Ok(Some(written));
        }
        (price, revision) = read(bucket, key).await?;
    }
    Err(MessagingError::Broker(flotilla_messaging::BrokerError::Unavailable(format!("{key} is written without end"))))
}

async fn read(bucket: &OpenBucket, key: &str) -> Result<(Option<BucketPrice>, u64), MessagingError> {
    Ok(match bucket.get(key).await? {
        Some(BucketEntry { value, revision, .. }) => {
            (value.and_then(|value| BucketPrice::read(&value, revision)), revision)
        }
        None => (None, 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::product::ProductId;

    fn update(version: i64, minor: i64) -> PriceUpdate {
        let price = Amount { minor, currency: Currency::parse("EUR").expect("known") };
        PriceUpdate { product: ProductId::parse("tea").expect("an id"), price, deleted: false, version }
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let price = BucketPrice::updated(None, &update(3, 125)).expect("newer");
        assert_eq!(BucketPrice::read(&price.write(), 9), Some(BucketPrice { at: 9, ..price }));
        for rubbish in ["", "{}", r#"{"price_minor":1,"currency":"XXX","deleted":false,"since":1,"seen":1,"at":1}"#] {
            assert_eq!(BucketPrice::read(rubbish.as_bytes(), 9), None, "{rubbish}");
        }
    }

    #[test]
    fn a_version_that_leaves_the_price_keeps_the_revision_that_brought_it() {
        let found = BucketPrice { at: 9, ..BucketPrice::updated(None, &update(3, 125)).expect("newer") };
        assert_eq!(BucketPrice::updated(Some(&found), &update(4, 125)).expect("newer").at, 9);
        assert_eq!(BucketPrice::updated(Some(&found), &update(4, 126)).expect("newer").at, 0);
        assert_eq!(BucketPrice::updated(Some(&found), &update(3, 127)), None);
    }
}
