//! Watches of orders: wakes the streams of watched orders when their state has changed.
//!
//! One query per round reads all watched orders, so that the database's load hardly depends on the number of watchers.
//! Rounds are one poll interval apart; after a transaction of this replica has changed a watched order the next round
//! follows at once. Without watchers nothing is queried. The number of streams of one user for one order is bounded,
//! because each stream reads the order whenever it has changed.

use std::collections::HashMap;
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

/// The shortest time between two rounds: under load one round reads for many changes.
const SHORTEST: Duration = Duration::from_millis(4);

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
    /// Some of them have changed since the last round began.
    changed: bool,
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

    /// Notifies that a committed transaction has changed orders.
    pub fn changed(&self, mut orders: impl Iterator<Item = Uuid>) {
        let mut watched = self.shared.orders.lock();
        if !watched.standings.is_empty() && orders.any(|order| watched.standings.contains_key(&order)) {
            watched.changed = true;
            self.shared.bell.notify_one();
        }
    }

    /// Follows the watched orders until `shutdown`; polls at the interval `poll` for changes by other replicas.
    pub async fn follow(self, reader: Reader, poll: Live<HumanDuration>, shutdown: CancellationToken) {
        let mut last = Instant::now();
        loop {
            let due = last + poll.get().get();
            let wait = async {
                if self.is_idle() {
                    self.shared.bell.notified().await;
                } else {
                    let _ = tokio::time::timeout_at(due, self.shared.bell.notified()).await;
                }
            };
            if shutdown.run_until_cancelled(wait).await.is_none() {
                return;
            }
            if self.has_changed() {
                tokio::time::sleep_until(last + SHORTEST).await;
            } else if Instant::now() < due {
                continue;
            }
            last = Instant::now();
            if let Err(error) = self.look(&reader).await {
                tracing::warn!(error = %error, "watched orders could not be read");
            }
        }
    }

    async fn look(&self, reader: &Reader) -> Result<(), flotilla_postgres::Error> {
        let orders: Vec<Uuid> = {
            let mut watched = self.shared.orders.lock();
            watched.changed = false;
            watched.standings.keys().copied().collect()
        };
        if orders.is_empty() {
            return Ok(());
        }
        let standings = reader.standings(&orders).await?;
        let watched = self.shared.orders.lock();
        for (order, standing) in standings {
            let Some(known) = watched.standings.get(&order) else { continue };
            // Any other version counts, not only a higher one: after a restore versions are lower.
            known.send_if_modified(|known| std::mem::replace(known, standing.clone()) != standing);
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.shared.orders.lock().standings.is_empty()
    }

    fn has_changed(&self) -> bool {
        self.shared.orders.lock().changed
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
        }
    }
}
