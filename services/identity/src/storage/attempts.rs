//! The tables `failed_attempts` and `known_networks`.

use std::time::Duration;

use flotilla_postgres::{Error as StoreError, Pool};
use uuid::Uuid;

const CHECK: &str = include_str!("../../queries/check_attempt.sql");
const COUNT: &str = include_str!("../../queries/count_failure.sql");
const FORGET: &str = include_str!("../../queries/forget_failures.sql");
const CLEAN_FAILURES: &str = include_str!("../../queries/delete_forgotten_failures.sql");
const CLEAN_NETWORKS: &str = include_str!("../../queries/delete_old_networks.sql");

/// The hash that identifies a counter.
pub type Key = [u8; 32];

/// The waits of a counter, and how fast it decays.
#[derive(Clone, Debug)]
pub struct Count {
    /// In seconds: after one failure, after two, and so on.
    pub waits: Vec<f64>,
    /// The time in which one failure decays.
    pub forget: Duration,
}

/// Failed attempts, by the database's clock.
#[derive(Clone)]
pub struct FailedAttempts {
    system: Pool,
}

impl FailedAttempts {
    /// Creates the store with the system role's pool.
    pub fn new(system: Pool) -> Self {
        Self { system }
    }

    /// How long an attempt must wait: by its `own` counter, and by the `wide` ones unless `user` has signed in from
    /// `network` before.
    pub async fn wait(
        &self,
        own: &Key,
        wide: &[Key],
        user: Option<Uuid>,
        network: &Key,
    ) -> Result<Duration, StoreError> {
        let wide: Vec<&[u8]> = wide.iter().map(|key| &key[..]).collect();
        // A user who doesn't exist is looked up like any other.
        let user = user.unwrap_or(Uuid::nil());
        let rows = self.system.query(CHECK, &[&&own[..], &wide, &user, &&network[..]]).await?;
        let seconds: f64 = rows.first().map_or(Ok(0.0), |row| row.get(0))?;
        Ok(Duration::from_secs_f64(seconds.max(0.0)))
    }

    /// Counts a failure; with `unless_blocked` only if no wait is active. Returns whether it was counted.
    pub async fn count(&self, key: &Key, count: &Count, unless_blocked: bool) -> Result<bool, StoreError> {
        let forget = count.forget.as_secs_f64();
        let rows = self.system.query(COUNT, &[&&key[..], &count.waits, &forget, &unless_blocked]).await?;
        Ok(!rows.is_empty())
    }

    /// Resets the counter of `key`, and records `network` as known for `user`.
    pub async fn forget(&self, key: &Key, user: Uuid, network: &Key) -> Result<(), StoreError> {
        self.system.query(FORGET, &[&&key[..], &user, &&network[..]]).await.map(drop)
    }

    /// Deletes at most `limit` expired rows of each table; returns how many were deleted from the table with more.
    pub async fn clean(&self, limit: i64) -> Result<u64, StoreError> {
        let tx = self.system.begin().await?;
        let failures = tx.execute(CLEAN_FAILURES, &[&limit]).await?;
        let networks = tx.execute(CLEAN_NETWORKS, &[&limit]).await?;
        tx.commit().await?;
        Ok(failures.max(networks))
    }
}
