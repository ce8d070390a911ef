//! The follower of the bucket: fills a replica's log from the database, then follows the bucket for as long as the
//! service runs.

use std::sync::Arc;
use std::time::Duration;

use flotilla_clock::{Backoff, Random};
use flotilla_messaging::{
    BrokerError, Bucket, BucketEntry, BucketFollower, BucketObserver, Error as MessagingError, FollowError, OpenBucket,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{BucketPrice, OpenBucketSlot, PriceLog, write};
use crate::domain::price::PriceUpdate;
use crate::domain::product::ProductId;
use crate::storage::Catalogue;

/// Number of prices read at a time.
const PAGE: u32 = 2_000;
/// Initial pause after a failure; it doubles up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Maximum pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Fills the log and keeps it up to date.
pub struct PriceFollower {
    observer: PriceObserver,
    bucket: Bucket,
    check: Duration,
    random: Arc<dyn Random>,
}

/// Loads the bucket's content into the log, and repairs the bucket from the database.
struct PriceObserver {
    log: Arc<PriceLog>,
    slot: OpenBucketSlot,
    catalogue: Catalogue,
    /// The server run of the database from which the bucket was repaired.
    run: Mutex<Option<i64>>,
}

/// Why the follower starts over.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("broker: {0}")]
    Messaging(#[from] MessagingError),
    #[error("database: {0}")]
    Store(#[from] flotilla_postgres::Error),
    #[error("the bucket had lost values and was deleted")]
    Lost,
    #[error("the bucket had prices that a restore of the database has undone, and was deleted")]
    Undone,
    #[error("the database server was restarted, perhaps with restored data")]
    AnotherRun,
}

impl From<BrokerError> for Fault {
    fn from(error: BrokerError) -> Self {
        Self::Messaging(error.into())
    }
}

impl PriceFollower {
    /// Follows `bucket` for `log` and puts it in `slot` while it is open; checks at the interval `check` whether it is
    /// still the same.
    #[must_use]
    pub fn new(
        bucket: Bucket,
        log: Arc<PriceLog>,
        slot: OpenBucketSlot,
        catalogue: Catalogue,
        check: Duration,
        random: Arc<dyn Random>,
    ) -> Self {
        let observer = PriceObserver { log, slot, catalogue, run: Mutex::default() };
        Self { observer, bucket, check, random }
    }

    /// Runs until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { observer, bucket, check, random } = self;
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut pauses = backoff.clone();
        loop {
            let Some(loaded) = shutdown.run_until_cancelled(observer.load()).await else { return };
            let Err(error) = loaded else { break };
            tracing::warn!(%error, "prices not loaded yet");
            if !pauses.wait(&*random, &shutdown).await {
                return;
            }
        }
        observer.log.set_loaded();
        BucketFollower::new(bucket, observer, check, backoff, random).run(shutdown).await;
    }
}

impl BucketObserver for PriceObserver {
    type Error = Fault;

    async fn verify(&self, bucket: &OpenBucket) -> Result<(), Fault> {
        if self.log.is_ahead_of(bucket.created, bucket.last) || self.catalogue.outran(bucket).await? {
            bucket.delete().await?;
            return Err(Fault::Lost);
        }
        Ok(())
    }

    async fn begin(&self, bucket: &OpenBucket) -> Result<(), Fault> {
        let run = self.catalogue.server_run().await?;
        *self.run.lock() = Some(run);
        self.log.begin(bucket.created);
        self.slot.set(Some(bucket.clone()));
        Ok(())
    }

    fn observe(&self, entry: BucketEntry) {
        let product = ProductId::parse(&entry.key);
        let price = entry.value.and_then(|value| BucketPrice::read(&value, entry.revision));
        if let (Some(product), Some(price)) = (product, price) {
            self.log.observe(&product, price, entry.revision);
        }
    }

    async fn caught_up(&self, bucket: &OpenBucket) -> Result<(), Fault> {
        self.repair(bucket).await
    }

    async fn check(&self) -> Result<(), Fault> {
        // While the database is unavailable its server run is unknown.
        let run = self.catalogue.server_run().await.ok();
        if run.is_some() && run != *self.run.lock() {
            return Err(Fault::AnotherRun);
        }
        Ok(())
    }

    fn interrupted(&self, error: &FollowError<Fault>, repeated: bool) {
        self.slot.set(None);
        // The broker may be unavailable for a long time: warn once.
        if repeated {
            tracing::debug!(%error, "not following prices");
        } else {
            tracing::warn!(%error, "not following prices");
        }
    }
}

impl PriceObserver {
    async fn load(&self) -> Result<(), Fault> {
        let mut after = String::new();
        loop {
            let page = self.catalogue.prices(&after, PAGE).await?;
            self.log.load(&page);
            match page.last() {
                Some(last) if page.len() == PAGE as usize => after = last.product.to_string(),
                _ => return Ok(()),
            }
        }
    }

    /// Compares the bucket's content, as far as the log knows it, with the database, and writes what is missing. A
    /// bucket with prices that a restore of the database has undone is deleted.
    async fn repair(&self, bucket: &OpenBucket) -> Result<(), Fault> {
        // Copied before the database is read: the database must have each of these versions, or a later one.
        let mut known = self.log.all();
        let (mut after, mut written, mut undone, mut revision) = (String::new(), 0, false, None);
        loop {
            let page = self.catalogue.prices(&after, PAGE).await?;
            for update in &page {
                if known.remove(&update.product).is_some_and(|known| known.is_undone_by(Some(update))) {
                    undone |= self.log.correct(&update.product, Some(update));
                }
            }
            self.log.load(&page);
            let full = page.len() == PAGE as usize;
            let last = page.last().filter(|_| full).map(|update| update.product.to_string());
            let lacking: Vec<PriceUpdate> = page.into_iter().filter(|update| !self.has(bucket, update)).collect();
            written += lacking.len();
            revision = revision.max(write(bucket, &self.log, lacking).await?);
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        if let Some(revision) = revision {
            self.catalogue.note_written(bucket, revision).await?;
        }
        for product in known.keys() {
            undone |= self.log.correct(product, None);
        }
        if undone {
            if bucket.is_same().await? {
                bucket.delete().await?;
            }
            return Err(Fault::Undone);
        }
        if written > 0 {
            tracing::info!(products = written, "prices filled from the database");
        }
        Ok(())
    }

    fn has(&self, bucket: &OpenBucket, update: &PriceUpdate) -> bool {
        self.log
            .in_bucket(bucket.created, &update.product)
            .is_some_and(|(price, _)| price.latest.seen >= update.version)
    }
}
