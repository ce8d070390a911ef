//! Rotation of the signing keys: every replica follows the stored keys, and any replica may create the next one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use flotilla_auth::Caller;
use flotilla_clock::Ids;
use flotilla_postgres::retry;
use flotilla_proto::identity::v1::JsonWebKey;
use flotilla_rpc::RpcError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    config::AuthSettings,
    error::Error,
    keys::{SigningKeys, StoredKey},
    storage::KeyTable,
};

/// Maximum interval between reads of the keys.
const READ: Duration = Duration::from_secs(2);
/// Timeout of a background read.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys in memory and those in the table.
#[derive(Clone)]
pub struct Rotation {
    keys: Arc<SigningKeys>,
    table: KeyTable,
    ids: Ids,
    /// How long tokens of the old key may be accepted after the new key starts signing.
    outlives: Duration,
}

impl Rotation {
    /// Keeps `keys` in sync with `table`.
    pub fn new(keys: Arc<SigningKeys>, table: KeyTable, ids: Ids, settings: &AuthSettings) -> Self {
        // The clocks of a signing replica and of a verifying service may both be off, in opposite directions.
        let outlives = settings.token_lifetime.get() + 2 * settings.clock_skew.get();
        Self { keys, table, ids, outlives }
    }

    /// Reads the keys periodically until `shutdown`.
    pub async fn follow(self, shutdown: CancellationToken) {
        // Several times within the lead time, so that a single failure does no harm.
        let mut ticks = tokio::time::interval(READ.min(self.keys.lead() / 4));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let following = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.read(PATIENCE).await {
                    tracing::warn!(%error, "signing keys could not be read");
                }
            }
        };
        shutdown.run_until_cancelled(following).await;
    }

    /// Creates a token for `caller`, valid from `now`; reads the keys first if they are out of date.
    pub async fn sign(&self, caller: &Caller, now: SystemTime, deadline: Duration) -> Result<String, Error> {
        if let Ok(token) = self.keys.sign(caller, now) {
            return Ok(token);
        }
        self.read(deadline).await?;
        Ok(self.keys.sign(caller, now)?)
    }

    /// Reads the keys if they are out of date.
    pub async fn freshen(&self, deadline: Duration) -> Result<(), Error> {
        if self.keys.is_stale() { self.read(deadline).await } else { Ok(()) }
    }

    /// The public keys, newest first.
    pub fn published(&self) -> Vec<JsonWebKey> {
        self.keys.published()
    }

    /// Creates the next key: it is published from now on and signs after the lead time. The previous key verifies until
    /// its last token has expired.
    pub async fn rotate(&self, deadline: Duration) -> Result<JsonWebKey, Error> {
        let now = self.ids.now();
        let signs_from = now + self.keys.lead();
        let new = StoredKey::generate(self.ids.random().as_ref(), signs_from).map_err(|_| RpcError::internal())?;
        self.table.add(&new, now, signs_from + self.outlives, deadline).await?;
        tracing::info!(kid = new.kid, "signing key rotated");
        self.read(deadline).await?;
        Ok(new.to_jwk().ok_or_else(RpcError::internal)?)
    }

    async fn read(&self, deadline: Duration) -> Result<(), Error> {
        let asked = Instant::now();
        let stored = retry(deadline, || self.table.load(self.ids.now())).await?;
        self.keys.replace(&stored, asked).map_err(|error| flotilla_service::internal_error(&error))?;
        Ok(())
    }
}
