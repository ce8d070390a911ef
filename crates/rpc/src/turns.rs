//! Limits how many calls of one caller are processed at the same time. Further ones wait for their turn in order of
//! arrival, so that the calls of others find short queues at shared resources such as processors and connection pools.
//!
//! A dropped turn is returned a moment later. A cancelled call may still be processed, and a caller that cancels all
//! its calls could otherwise start as many as it likes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// Shards of the map, each with its own lock. A power of two.
const SHARDS: usize = 16;

/// The turns of all callers. Cheap to clone.
pub struct Turns<K: Hash + Eq>(Arc<Inner<K>>);

struct Inner<K: Hash + Eq> {
    callers: Arc<Callers<K>>,
    /// How long a dropped turn is kept.
    kept: Duration,
    /// Dropped turns, by the time at which they are returned.
    dropped: Mutex<VecDeque<(Instant, Held<K>)>>,
    /// Notified when a turn was dropped.
    added: Notify,
}

struct Callers<K> {
    /// Turns of each caller.
    turns: usize,
    waiting: AtomicUsize,
    shards: [Mutex<HashMap<K, Queue>>; SHARDS],
    hasher: RandomState,
}

#[derive(Default)]
struct Queue {
    at_work: usize,
    next: u64,
    /// Waiting calls, oldest first.
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// This many turns at a time for each caller, at least one. A dropped turn is kept for the time `kept`, and at
    /// least until [`give_back`](Self::give_back) runs, which the owner must run.
    #[must_use]
    pub fn new(turns: usize, kept: Duration) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        let callers = Callers { turns: turns.max(1), waiting: AtomicUsize::new(0), shards, hasher: RandomState::new() };
        Self(Arc::new(Inner { callers: Arc::new(callers), kept, dropped: Mutex::default(), added: Notify::new() }))
    }

    /// Waits for a turn of `caller`. The wait has no deadline of its own.
    pub async fn take(&self, caller: K) -> Turn<K> {
        let mut held = Callers::enter(&self.0.callers, caller);
        held.granted().await;
        Turn { turns: Arc::clone(&self.0), held: Some(held) }
    }

    /// How many calls wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.callers.waiting.load(Ordering::Relaxed)
    }

    /// Returns dropped turns when they are due; runs until it is dropped.
    pub async fn give_back(&self) -> Infallible {
        loop {
            let next = self.0.dropped.lock().front().map(|(due, _)| *due);
            match next {
                Some(due) if due > Instant::now() => sleep_until(due).await,
                Some(_) => self.0.settle(),
                None => self.0.added.notified().await,
            }
        }
    }
}

impl<K: Hash + Eq> Inner<K> {
    /// Returns the turns that are due.
    fn settle(&self) {
        let now = Instant::now();
        let mut dropped = self.dropped.lock();
        let due = dropped.partition_point(|(due, _)| *due <= now);
        let due: Vec<_> = dropped.drain(..due).collect();
        drop(dropped);
        drop(due);
    }
}

impl<K: Hash + Eq> Callers<K> {
    fn shard(&self, caller: &K) -> &Mutex<HashMap<K, Queue>> {
        &self.shards[self.hasher.hash_one(caller) as usize & (SHARDS - 1)]
    }

    /// Takes a free turn, or a place in the caller's queue.
    fn enter(self: &Arc<Self>, caller: K) -> Held<K>
    where
        K: Clone,
    {
        let mut shard = self.shard(&caller).lock();
        let queue = shard.entry(caller.clone()).or_default();
        let place = if queue.waiting.is_empty() && queue.at_work < self.turns {
            queue.at_work += 1;
            Place::AtWork
        } else {
            let (grant, granted) = oneshot::channel();
            let number = queue.next;
            queue.next += 1;
            queue.waiting.insert(number, grant);
            self.waiting.fetch_add(1, Ordering::Relaxed);
            Place::Waiting { number, granted }
        };
        drop(shard);
        Held { place, callers: Arc::clone(self), caller }
    }
}

impl Queue {
    /// Gives free turns to the calls that have waited longest.
    fn grant(&mut self, turns: usize) {
        while self.at_work < turns
            && let Some((_, next)) = self.waiting.pop_first()
        {
            // Otherwise that call has just been cancelled.
            if next.send(()).is_ok() {
                self.at_work += 1;
            }
        }
    }
}

/// What a call holds from the moment it requests its turn.
struct Held<K: Hash + Eq> {
    place: Place,
    callers: Arc<Callers<K>>,
    caller: K,
}

enum Place {
    Waiting { number: u64, granted: oneshot::Receiver<()> },
    AtWork,
}

impl<K: Hash + Eq> Held<K> {
    async fn granted(&mut self) {
        if let Place::Waiting { granted, .. } = &mut self.place {
            // The sender isn't dropped before it has sent: queues with waiting calls are kept.
            let _ = granted.await;
            self.place = Place::AtWork;
            self.callers.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<K: Hash + Eq> Drop for Held<K> {
    fn drop(&mut self) {
        let mut shard = self.callers.shard(&self.caller).lock();
        let Some(queue) = shard.get_mut(&self.caller) else { return };
        let at_work = match &mut self.place {
            Place::AtWork => true,
            Place::Waiting { number, granted } => {
                self.callers.waiting.fetch_sub(1, Ordering::Relaxed);
                queue.waiting.remove(number);
                granted.try_recv().is_ok()
            }
        };
        if at_work {
            queue.at_work -= 1;
            queue.grant(self.callers.turns);
        }
        if queue.at_work == 0 && queue.waiting.is_empty() {
            shard.remove(&self.caller);
        }
    }
}

/// A turn. When it is dropped, it is kept for a moment.
#[must_use = "a call without its turn isn't counted"]
pub struct Turn<K: Hash + Eq> {
    turns: Arc<Inner<K>>,
    held: Option<Held<K>>,
}

impl<K: Hash + Eq> Turn<K> {
    /// Returns the turn at once after a response, so that the caller's next call begins immediately.
    pub fn over(mut self) {
        drop(self.held.take());
    }
}

impl<K: Hash + Eq> Drop for Turn<K> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.turns.dropped.lock().push_back((Instant::now() + self.turns.kept, held));
            self.turns.added.notify_one();
        }
    }
}

impl<K: Hash + Eq> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq> fmt::Debug for Turns<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("turns", &self.0.callers.turns).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq> fmt::Debug for Turn<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
