//! The table `signing_keys`.

use std::time::{Duration, SystemTime};

use flotilla_clock::Random;
use flotilla_postgres::{Error as StoreError, ErrorKind, Pool, Row, Tx, retry, retry_unless_unknown};

use crate::{error::Error, keys::StoredKey};

const LOCK: &str = include_str!("../../queries/lock_signing_keys.sql");
const LIST: &str = include_str!("../../queries/list_signing_keys.sql");
const INSERT: &str = include_str!("../../queries/insert_signing_key.sql");
const RETIRE: &str = include_str!("../../queries/retire_signing_keys.sql");
const CLEAN: &str = include_str!("../../queries/delete_ended_signing_keys.sql");

/// Maximum number of keys that verify at a time: each is in the published set.
const MAX_KEYS: usize = 16;

/// The stored keys.
#[derive(Clone)]
pub struct KeyTable {
    system: Pool,
}

impl KeyTable {
    /// Creates the store with the system role's pool.
    pub fn new(system: Pool) -> Self {
        Self { system }
    }

    /// All keys that verify at `now`, newest first.
    pub async fn load(&self, now: SystemTime) -> Result<Vec<StoredKey>, StoreError> {
        self.system.query(LIST, &[&now]).await?.iter().map(key).collect()
    }

    /// Like [`load`](Self::load); creates the first key if there is none.
    pub async fn load_or_make(
        &self,
        random: &dyn Random,
        now: SystemTime,
        deadline: Duration,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let new =
            StoredKey::generate(random, now).map_err(|error| StoreError::new(ErrorKind::Other, error.to_string()))?;
        let attempt = || async {
            let (tx, mut keys) = self.locked(now).await?;
            if keys.is_empty() {
                insert(&tx, &new).await?;
                tracing::info!(kid = new.kid, "signing key created");
                keys.push(new.clone());
            }
            tx.commit().await?;
            Ok(keys)
        };
        retry(deadline, attempt).await
    }

    /// Adds a key; the previous ones verify until `until`.
    ///
    /// # Errors
    /// [`Error::TooManyKeys`] while the maximum number of keys still verify.
    pub async fn add(
        &self,
        new: &StoredKey,
        now: SystemTime,
        until: SystemTime,
        deadline: Duration,
    ) -> Result<(), Error> {
        let attempt = || async {
            let (tx, keys) = self.locked(now).await?;
            if keys.len() >= MAX_KEYS {
                return tx.rollback_with(Error::TooManyKeys).await;
            }
            tx.execute(RETIRE, &[&new.kid, &until]).await?;
            insert(&tx, new).await?;
            tx.commit().await?;
            Ok(())
        };
        // A retry could not find its own key.
        retry_unless_unknown(deadline, attempt).await
    }

    /// Deletes keys that had expired by `before`.
    pub async fn clean(&self, before: SystemTime) -> Result<(), StoreError> {
        let tx = self.system.begin().await?;
        tx.execute(CLEAN, &[&before]).await?;
        tx.commit().await
    }

    async fn locked(&self, now: SystemTime) -> Result<(Tx, Vec<StoredKey>), StoreError> {
        let tx = self.system.begin().await?;
        // Awaited separately: the list must see what the previous holder of the lock committed.
        tx.query_one(LOCK, &[]).await?;
        let keys = tx.query(LIST, &[&now]).await?.iter().map(key).collect::<Result<_, _>>()?;
        Ok((tx, keys))
    }
}

async fn insert(tx: &Tx, key: &StoredKey) -> Result<(), StoreError> {
    tx.execute(INSERT, &[&key.kid, &key.secret, &key.public, &key.signs_from]).await.map(drop)
}

fn key(row: &Row) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        kid: row.get("kid")?,
        secret: row.get("private_key")?,
        public: row.get("public_key")?,
        signs_from: row.get("signs_from")?,
        verifies_until: row.get("verifies_until")?,
    })
}
