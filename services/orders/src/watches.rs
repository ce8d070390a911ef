//! Watches of orders: wakes the streams of watched orders when their state has changed.
//!
//! One query per round reads all watched orders, so that the database's load hardly depends on the number of watchers.
//! Rounds are one poll interval apart; after a hint from this replica's own transactions the next round follows
//! quickly. Without watchers nothing is queried. The number of streams of one user for one order is bounded, because
//! each stream reads the order whenever it has changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_config::{HumanDuration, Live};
use flotilla_rpc::{Share, Shares};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::storage::orders::Reader;

/// Delay of the round after a hint, which is given just before the commit.
const FIRST: Duration = Duration::from_millis(4);

/// All watched orders. Cheap to clone.
#[derive(Clone)]
pub struct Watches {
    shared: Arc<Shared>,
    /// Number of streams by user and order.
    shares: Shares<(Uuid, Uuid)>,
}

/// The user has too many streams of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyWatches;

#[derive(Default)]
struct Shared {
    orders: Mutex<Watched>,
    bell: Notify,
}

#[derive(Default)]
struct Watched {
    /// The last known state of each order.
    standings: HashMap<Uuid, watch::Sender<String>>,
    hinted: HashSet<Uuid>,
}

/// One stream's watch of an order. Ends when dropped.
pub struct Watch {
    order: Uuid,
    standing: watch::Receiver<String>,
    shared: Arc<Shared>,
    _share: Share<(Uuid, Uuid)>,
}

impl Watches {
    /// Creates the watches with a maximum number of streams per user and order.
    #[must_use]
    pub fn new(of_one_order: usize) -> Self {
        Self { shared: Arc::default(), shares: Shares::new(of_one_order) }
    }

    /// Watches an order for a user.
    ///
    /// # Errors
    /// If the user has too many streams of it.
    pub fn watch(&self, user: Uuid, order: Uuid) -> Result<Watch, TooManyWatches> {
        let share = self.shares.take((user, order)).ok_or(TooManyWatches)?;
        let standing = self.shared.orders.lock().standings.entry(order).or_default().subscribe();
        self.shared.bell.notify_one();
        Ok(Watch { order, standing, shared: Arc::clone(&self.shared), _share: share })
    }

    /// Notifies that orders have changed, or will change when a transaction commits shortly.
    pub fn changed(&self, orders: impl Iterator<Item = Uuid>) {
        let mut watched = self.shared.orders.lock();
        if watched.standings.is_empty() {
            return;
        }
        let hinted: Vec<Uuid> = orders.filter(|order| watched.standings.contains_key(order)).collect();
        if !hinted.is_empty() {
            watched.hinted.extend(hinted);
            self.shared.bell.notify_one();
        }
    }

    /// Follows the watched orders until `shutdown`; polls at the interval `poll` for changes by other replicas.
    pub async fn follow(self, reader: Reader, poll: Live<HumanDuration>, shutdown: CancellationToken) {
        let mut next = Instant::now();
        let mut quick = FIRST;
        loop {
            let wait = async {
                if self.is_idle() {
                    self.shared.bell.notified().await;
                } else {
                    let _ = tokio::time::timeout_at(next, self.shared.bell.notified()).await;
                }
            };
            if shutdown.run_until_cancelled(wait).await.is_none() {
                return;
            }
            let now = Instant::now();
            if self.is_hinted() {
                next = next.min(now + quick);
            }
            if now < next {
                continue;
            }
            if let Err(error) = self.look(&reader).await {
                tracing::warn!(error = %error, "watched orders could not be read");
            }
            let poll = poll.get().get();
            quick = if self.is_hinted() { quick * 2 } else { FIRST };
            if quick >= poll {
                // A hinted change that isn't visible was rolled back, or is found by a later poll.
                self.shared.orders.lock().hinted.clear();
                quick = FIRST;
            }
            next = Instant::now() + if self.is_hinted() { quick } else { poll };
        }
    }

    async fn look(&self, reader: &Reader) -> Result<(), flotilla_postgres::Error> {
        let orders: Vec<Uuid> = self.shared.orders.lock().standings.keys().copied().collect();
        if orders.is_empty() {
            return Ok(());
        }
        let standings = reader.standings(&orders).await?;
        let mut watched = self.shared.orders.lock();
        for (order, standing) in standings {
            let Some(known) = watched.standings.get(&order) else { continue };
            // Any other version counts, not only a higher one: after a restore versions are lower.
            if known.send_if_modified(|known| std::mem::replace(known, standing.clone()) != standing) {
                watched.hinted.remove(&order);
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.shared.orders.lock().standings.is_empty()
    }

    fn is_hinted(&self) -> bool {
        !self.shared.orders.lock().hinted.is_empty()
    }
}

impl Watch {
    /// Waits until the order's state differs from the last one returned.
    pub async fn changed(&mut self) {
        // The sender lives until the last watch is dropped, so at least as long as this one.
        let _ = self.standing.changed().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.shared.orders.lock();
        if watched.standings.get(&self.order).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.standings.remove(&self.order);
            watched.hinted.remove(&self.order);
        }
    }
}
