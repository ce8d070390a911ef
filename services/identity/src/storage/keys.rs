//! The table `signing_keys`.

use std::time::Duration;

use flotilla_messaging::Random;
use flotilla_postgres::{Error, ErrorKind, Pool, retry};

use crate::keys::StoredKey;

const LOCK: &str = include_str!("../../queries/lock_signing_keys.sql");
const LIST: &str = include_str!("../../queries/list_signing_keys.sql");
const INSERT: &str = include_str!("../../queries/insert_signing_key.sql");

/// All keys, newest first; the first process to ask makes the first key.
///
/// # Errors
/// The database is away for longer than `deadline`.
pub async fn load_or_make(pool: &Pool, random: &dyn Random, deadline: Duration) -> Result<Vec<StoredKey>, Error> {
    retry(deadline, || attempt(pool, random)).await
}

async fn attempt(pool: &Pool, random: &dyn Random) -> Result<Vec<StoredKey>, Error> {
    let tx = pool.begin().await?;
    // Awaited by itself: the list must see what the former holder of the lock committed.
    tx.query_one(LOCK, &[]).await?;
    let mut keys: Vec<StoredKey> = tx
        .query(LIST, &[])
        .await?
        .iter()
        .map(|row| StoredKey { kid: row.get(0), secret: row.get(1), public: row.get(2) })
        .collect();
    if keys.is_empty() {
        let key = StoredKey::generate(random).map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
        tx.execute(INSERT, &[&key.kid, &key.secret, &key.public]).await?;
        tracing::info!(kid = key.kid, "signing key made");
        keys.push(key);
    }
    tx.commit().await?;
    Ok(keys)
}
