//! Single flight: of concurrent readers of a key in this process one loads, the others wait for its result.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::memory::{Entry, Stamp};

/// What became of a load.
pub enum Landing<V> {
    /// It goes on.
    Pending,
    /// It ended with this entry.
    Loaded(Arc<Entry<V>>),
    /// It failed; this older entry may still be served.
    Failed(Option<Arc<Entry<V>>>),
    /// It was cancelled, or the key was invalidated meanwhile: someone else must load.
    Void,
}

impl<V> Clone for Landing<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Pending => Self::Pending,
            Self::Loaded(entry) => Self::Loaded(Arc::clone(entry)),
            Self::Failed(entry) => Self::Failed(entry.clone()),
            Self::Void => Self::Void,
        }
    }
}

type ByKey<V> = Mutex<HashMap<Arc<str>, Begun<V>>>;

struct Begun<V> {
    number: u64,
    stamp: Stamp,
    landing: watch::Receiver<Landing<V>>,
}

/// The loads in progress.
pub struct Flights<V> {
    by_key: Arc<ByKey<V>>,
    numbers: AtomicU64,
}

/// Who loads.
pub enum Turn<V> {
    /// The caller.
    Lead(Flight<V>),
    /// Another one, whose result can be awaited.
    Follow(watch::Receiver<Landing<V>>),
}

/// A load of the caller's. If it is dropped, another reader loads.
pub struct Flight<V> {
    flights: Arc<ByKey<V>>,
    key: Arc<str>,
    number: u64,
    sender: watch::Sender<Landing<V>>,
}

impl<V> Default for Flights<V> {
    fn default() -> Self {
        Self { by_key: Arc::default(), numbers: AtomicU64::new(0) }
    }
}

impl<V> Flights<V> {
    /// Joins the load of a key, or begins one. A load that began before an invalidation isn't joined.
    pub fn join(&self, key: &Arc<str>, stamp: Stamp) -> Turn<V> {
        let mut flights = self.by_key.lock();
        if let Some(begun) = flights.get(key).filter(|begun| begun.stamp.is_same(stamp)) {
            return Turn::Follow(begun.landing.clone());
        }
        let (sender, landing) = watch::channel(Landing::Pending);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        flights.insert(Arc::clone(key), Begun { number, stamp, landing });
        drop(flights);
        Turn::Lead(Flight { flights: Arc::clone(&self.by_key), key: Arc::clone(key), number, sender })
    }
}

impl<V> Flight<V> {
    /// Tells the followers.
    pub fn land(self, landing: Landing<V>) {
        self.sender.send_replace(landing);
    }
}

impl<V> Drop for Flight<V> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|begun| begun.number == self.number) {
            flights.remove(&self.key);
        }
        drop(flights);
        self.sender.send_if_modified(|landing| {
            let is_pending = matches!(landing, Landing::Pending);
            if is_pending {
                *landing = Landing::Void;
            }
            is_pending
        });
    }
}

/// Waits for the end of a load.
pub async fn landed<V>(mut receiver: watch::Receiver<Landing<V>>) -> Landing<V> {
    match receiver.wait_for(|landing| !matches!(landing, Landing::Pending)).await {
        Ok(landing) => landing.clone(),
        Err(_) => Landing::Void,
    }
}
