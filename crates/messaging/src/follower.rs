//! The follower of a bucket: opens it, watches it, and starts over whenever the watch is interrupted.
//!
//! A [`BucketObserver`] interprets the values. Guarantees: it gets every value that the bucket holds and then each
//! change, over one connection and from one bucket at a time; a replaced bucket or connection is noticed by the next
//! check, and everything is read again. Pauses between attempts grow up to a limit.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flotilla_clock::{Backoff, Random};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::broker::nats::{Bucket, BucketEntry, OpenBucket};
use crate::error::BrokerError;

/// Handles the values of a bucket. The order of calls in one attempt: `verify`, `begin`, `observe` for each existing
/// value, `caught_up`; then `observe` for each change; finally `interrupted`.
pub trait BucketObserver: Send + Sync {
    /// Why the observer wants to start over.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Checks a bucket that was opened and isn't watched yet. An error rejects it.
    fn verify(&self, _bucket: &OpenBucket) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// The bucket is watched from now on; none of its values has been observed.
    fn begin(&self, bucket: &OpenBucket) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Handles a value.
    fn observe(&self, entry: BucketEntry);

    /// All values that the bucket held when it was opened have been observed. Further values are observed and checks
    /// made while this runs; the bucket counts as followed once this has succeeded.
    fn caught_up(&self, bucket: &OpenBucket) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Checks further conditions for following the bucket; called after each check of the bucket.
    fn check(&self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// The bucket is no longer followed. `repeated`: it has not been followed since an earlier interruption.
    fn interrupted(&self, error: &FollowError<Self::Error>, repeated: bool);
}

/// Why a follower starts over.
#[derive(Debug, thiserror::Error)]
pub enum FollowError<E: std::error::Error + 'static> {
    /// The broker is unavailable, or the watch was interrupted.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The opened bucket was replaced by another one, or the connection was lost meanwhile.
    #[error("the bucket or the connection to it was replaced")]
    Changed,
    /// The observer wants to start over.
    #[error(transparent)]
    Observer(E),
}

/// Follows a bucket on behalf of an observer.
pub struct BucketFollower<O> {
    bucket: Bucket,
    observer: O,
    check: Duration,
    backoff: Backoff,
    random: Arc<dyn Random>,
}

impl<O: BucketObserver> BucketFollower<O> {
    /// Follows `bucket`; checks at the interval `check` that it is still the same over the same connection, and waits
    /// for `backoff` after a failure.
    #[must_use]
    pub fn new(bucket: Bucket, observer: O, check: Duration, backoff: Backoff, random: Arc<dyn Random>) -> Self {
        Self { bucket, observer, check, backoff, random }
    }

    /// Runs until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut repeated = false;
        loop {
            let mut followed = false;
            let Some(Err(error)) = shutdown.run_until_cancelled(self.follow(&mut followed)).await else { return };
            self.observer.interrupted(&error, repeated && !followed);
            repeated = true;
            if followed {
                self.backoff.reset();
            }
            if !self.backoff.wait(&*self.random, &shutdown).await {
                return;
            }
        }
    }

    /// Follows the bucket until something goes wrong; `followed` is set once the observer has caught up.
    async fn follow(&self, followed: &mut bool) -> Result<Infallible, FollowError<O::Error>> {
        let observer = &self.observer;
        let bucket = self.bucket.open().await?;
        observer.verify(&bucket).await.map_err(FollowError::Observer)?;
        let mut watch = bucket.watch().await?;
        observer.begin(&bucket).await.map_err(FollowError::Observer)?;
        let mut checks = tokio::time::interval(self.check);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut caught_up = pin!(observer.caught_up(&bucket));
        loop {
            tokio::select! {
                entry = watch.next() => observer.observe(entry?),
                done = &mut caught_up, if watch.is_current() && !*followed => {
                    done.map_err(FollowError::Observer)?;
                    *followed = true;
                }
                _ = checks.tick() => {
                    if !bucket.is_same().await? {
                        return Err(FollowError::Changed);
                    }
                    observer.check().await.map_err(FollowError::Observer)?;
                }
            }
        }
    }
}
