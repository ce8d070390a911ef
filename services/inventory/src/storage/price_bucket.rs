//! The highest revision written to the bucket of prices, recorded in the database. It reveals a bucket that was reset
//! to an earlier state with the broker's disk and would therefore assign the same revisions again.

use flotilla_messaging::OpenBucket;
use flotilla_postgres::{Error, Pool, Tx};

const NOTE: &str = include_str!("../../queries/note_price_bucket.sql");
const GET: &str = include_str!("../../queries/get_price_bucket.sql");

/// Records that the bucket was written up to `revision`. For changes, this happens in the transaction of their inbox
/// rows.
///
/// # Errors
/// The database's error.
pub async fn note(tx: &Tx, bucket: &OpenBucket, revision: u64) -> Result<(), Error> {
    tx.execute(NOTE, &[&bucket.created, &i64::try_from(revision).unwrap_or(i64::MAX)]).await.map(drop)
}

/// Whether the bucket holds less than was written to it.
///
/// # Errors
/// The database's error.
pub async fn was_taken_back(pool: &Pool, bucket: &OpenBucket) -> Result<bool, Error> {
    let rows = pool.query(GET, &[&bucket.created]).await?;
    let noted: Option<i64> = rows.first().map(|row| row.get("revision")).transpose()?;
    Ok(noted.is_some_and(|noted| u64::try_from(noted).is_ok_and(|noted| noted > bucket.last)))
}
