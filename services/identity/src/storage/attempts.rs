//! The tables `failed_attempts` and `known_networks`.

use std::time::Duration;

use flotilla_postgres::{Error as StoreError, Pool};
use uuid::Uuid;

const CHECK: &str = include_str!("../../queries/check_attempt.sql");
const COUNT: &str = include_str!("../../queries/count_failure.sql");
const FORGET: &str = include_str!("../../queries/forget_failures.sql");
const CLEAN_FAILURES: &str = include_str!("../../queries/delete_forgotten_failures.sql");
const CLEAN_NETWORKS: &str = include_str!("../../queries/delete_old_networks.sql");

/// The hash of what failures are counted for.
pub type Key = [u8; 32];

/// The waits that a count leads to, and how fast it is forgotten.
#[derive(Clone, Debug)]
pub struct Count {
    /// After one failure, after two, ..., in seconds.
    pub waits: Vec<f64>,
    /// The time in which one failure is forgotten.
    pub forget: Duration,
}

/// Failed attempts, in the clock of the database.
#[derive(Clone)]
pub struct FailedAttempts {
    system: Pool,
}

impl FailedAttempts {
    /// Over the system role's pool.
    pub fn new(system: Pool) -> Self {
        Self { system }
    }

    /// How long an attempt has to wait: for its `own` count, and for the `wide` ones unless `user` has signed in from
    /// `network` before.
    pub async fn wait(
        &self,
        own: &Key,
        wide: &[Key],
        user: Option<Uuid>,
        network: &Key,
    ) -> Result<Duration, StoreError> {
        let wide: Vec<&[u8]> = wide.iter().map(|key| &key[..]).collect();
        // One who doesn't exist is looked for like anyone else.
        let user = user.unwrap_or(Uuid::nil());
        let rows = self.system.query(CHECK, &[&&own[..], &wide, &user, &&network[..]]).await?;
        Ok(Duration::from_secs_f64(rows.first().map_or(0.0, |row| row.get::<_, f64>(0)).max(0.0)))
    }

    /// Counts a failure, where `unless_blocked` says so only while no wait stands. Says whether it was counted.
    pub async fn count(&self, key: &Key, count: &Count, unless_blocked: bool) -> Result<bool, StoreError> {
        let forget = count.forget.as_secs_f64();
        let rows = self.system.query(COUNT, &[&&key[..], &count.waits, &forget, &unless_blocked]).await?;
        Ok(!rows.is_empty())
    }

    /// Forgets the failures of `key`; `user` is known in `network` from now on.
    pub async fn forget(&self, key: &Key, user: Uuid, network: &Key) -> Result<(), StoreError> {
        self.system.query(FORGET, &[&&key[..], &user, &&network[..]]).await.map(drop)
    }

    /// Deletes at most `limit` rows of each table that don't matter any more; returns how many of the fuller one.
    pub async fn clean(&self, limit: i64) -> Result<u64, StoreError> {
        let tx = self.system.begin().await?;
        let failures = tx.execute(CLEAN_FAILURES, &[&limit]).await?;
        let networks = tx.execute(CLEAN_NETWORKS, &[&limit]).await?;
        tx.commit().await?;
        Ok(failures.max(networks))
    }
}
