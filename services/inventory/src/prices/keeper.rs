//! The keeper of a replica's board: fills it from the database, then follows the bucket for as long as the service runs.

use std::sync::Arc;
use std::time::Duration;

use flotilla_messaging::{Error as MessagingError, OpenBucket};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Board, Door, Price, offer};
use crate::domain::price::News;
use crate::domain::product::ProductId;
use crate::storage::Catalogue;

/// Prices read at once.
const PAGE: u32 = 2_000;
/// Pause after a failure; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Keeps the board.
pub struct Keeper {
    board: Arc<Board>,
    door: Door,
    catalogue: Catalogue,
    check: Duration,
}

/// Why the keeper starts over.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("broker: {0}")]
    Messaging(#[from] MessagingError),
    #[error("database: {0}")]
    Store(#[from] flotilla_postgres::Error),
    #[error("the bucket has lost values and was thrown away")]
    Lost,
    #[error("the bucket or the connection to it is another")]
    Changed,
    #[error("the bucket had prices that a restore of the database has undone and was thrown away")]
    Undone,
    #[error("the database's server was started again, perhaps on restored data")]
    AnotherRun,
}

impl Keeper {
    /// Keeps `board` by the bucket behind `door`; looks every `check` whether it is still there.
    #[must_use]
    pub fn new(board: Arc<Board>, door: Door, catalogue: Catalogue, check: Duration) -> Self {
        Self { board, door, catalogue, check }
    }

    /// Works until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.work()).await;
    }

    async fn work(&self) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.load().await {
            tracing::warn!(error = %error, "prices not loaded yet");
            wait(&mut pause).await;
        }
        self.board.set_loaded();
        pause = FIRST_PAUSE;
        let mut complained = false;
        loop {
            let mut followed = false;
            let Err(fault) = self.follow(&mut followed).await;
            self.door.set(None);
            // The broker may be away for long: said once.
            if followed || !complained {
                tracing::warn!(error = %fault, "prices are not followed");
            } else {
                tracing::debug!(error = %fault, "prices are not followed");
            }
            complained = true;
            if followed {
                pause = FIRST_PAUSE;
            }
            wait(&mut pause).await;
        }
    }

    async fn load(&self) -> Result<(), Fault> {
        let mut after = String::new();
        loop {
            let page = self.catalogue.prices(&after, PAGE).await?;
            self.board.load(&page);
            match page.last() {
                Some(last) if page.len() == PAGE as usize => after = last.product.to_string(),
                _ => return Ok(()),
            }
        }
    }

    /// Follows the bucket until something goes wrong; `followed` is set once all that it keeps was seen.
    async fn follow(&self, followed: &mut bool) -> Result<std::convert::Infallible, Fault> {
        let bucket = self.door.open().await?;
        if self.board.is_ahead_of(bucket.created, bucket.last) || self.catalogue.outran(&bucket).await? {
            bucket.throw_away().await.map_err(MessagingError::from)?;
            return Err(Fault::Lost);
        }
        let mut watch = bucket.watch().await.map_err(MessagingError::from)?;
        let run = self.catalogue.server_run().await?;
        self.board.begin(bucket.created);
        self.door.set(Some(bucket.clone()));
        let mut checks = tokio::time::interval(self.check);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let repair = self.repair(&bucket);
        tokio::pin!(repair);
        loop {
            tokio::select! {
                kept = watch.next() => {
                    let kept = kept.map_err(MessagingError::from)?;
                    let product = ProductId::parse(&kept.key);
                    let price = kept.value.and_then(|value| Price::read(&value, kept.revision));
                    if let (Some(product), Some(price)) = (product, price) {
                        self.board.tell(&product, price, kept.revision);
                    }
                }
                repaired = &mut repair, if watch.is_current() && !*followed => {
                    repaired?;
                    *followed = true;
                }
                _ = checks.tick() => {
                    if !bucket.is_same().await.map_err(MessagingError::from)? {
                        return Err(Fault::Changed);
                    }
                    // While the database is unavailable nothing is known.
                    if self.catalogue.server_run().await.is_ok_and(|now| now != run) {
                        return Err(Fault::AnotherRun);
                    }
                }
            }
        }
    }

    /// Compares the bucket, as far as the board has seen it, with the database, and writes what is missing. A bucket
    /// with prices that a restore of the database has undone is deleted.
    async fn repair(&self, bucket: &OpenBucket) -> Result<(), Fault> {
        // Taken before the database is read: the database must have each of these versions, or a later one.
        let mut known = self.board.all();
        let (mut after, mut written, mut undone, mut revision) = (String::new(), 0, false, None);
        loop {
            let page = self.catalogue.prices(&after, PAGE).await?;
            for news in &page {
                if known.remove(&news.product).is_some_and(|known| known.is_undone_by(Some(news))) {
                    undone |= self.board.correct(&news.product, Some(news));
                }
            }
            self.board.load(&page);
            let full = page.len() == PAGE as usize;
            let last = page.last().filter(|_| full).map(|news| news.product.to_string());
            let lacking: Vec<News> = page.into_iter().filter(|news| !self.has(bucket, news)).collect();
            written += lacking.len();
            revision = revision.max(offer(bucket, &self.board, lacking).await?);
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        if let Some(revision) = revision {
            self.catalogue.note_written(bucket, revision).await?;
        }
        for product in known.keys() {
            undone |= self.board.correct(product, None);
        }
        if undone {
            if bucket.is_same().await.map_err(MessagingError::from)? {
                bucket.throw_away().await.map_err(MessagingError::from)?;
            }
            return Err(Fault::Undone);
        }
        if written > 0 {
            tracing::info!(products = written, "prices filled from the database");
        }
        Ok(())
    }

    fn has(&self, bucket: &OpenBucket, news: &News) -> bool {
        self.board.kept(bucket.created, &news.product).is_some_and(|(price, _)| price.latest.seen >= news.version)
    }
}

async fn wait(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
}
