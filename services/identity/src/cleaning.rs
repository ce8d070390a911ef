//! Deletes expired rows that are no longer needed: sessions, refresh tokens, signing keys and failed attempts.

use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_postgres::Error;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::storage::{FailedAttempts, KeyTable, Sessions};

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_secs(600);
/// How long ended rows are kept: longer than any clock skew, and long enough for investigations.
const STAYS: Duration = Duration::from_secs(3600);
/// Maximum number of rows per transaction.
const BATCH: i64 = 1000;
/// Maximum number of transactions per round; the remaining rows wait for the next round.
const BATCHES: u32 = 100;

/// The cleaning task; it runs on every replica, without conflicts between them.
pub struct Cleaning {
    /// The sessions and their refresh tokens.
    pub sessions: Sessions,
    /// Failed attempts at passwords, and users' known networks.
    pub attempts: FailedAttempts,
    /// The signing keys.
    pub keys: KeyTable,
    /// The clock.
    pub ids: Ids,
}

impl Cleaning {
    /// Cleans up periodically until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.round().await {
                    tracing::warn!(%error, "expired sessions, keys and failed attempts could not be deleted");
                }
            }
        };
        shutdown.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<(), Error> {
        let before = self.ids.now() - STAYS;
        self.keys.clean(before).await?;
        for _ in 0..BATCHES {
            if self.sessions.clean(before, BATCH).await? < BATCH.unsigned_abs() {
                break;
            }
        }
        for _ in 0..BATCHES {
            if self.attempts.clean(BATCH).await? < BATCH.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }
}
