//! A bounded queue shared by many owners: each owner's items are served in order, and the owners round-robin.
//!
//! Guarantees: a batch takes one item of each owner before a second of any, and at most a share from each owner. An
//! owner with many items delays the others by at most one item each round. No owner fills more than its share of the
//! queue; when the queue is full, the newest item of the owner with the most items is evicted for an owner with fewer.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// An owner may fill at most a quarter of the queue and of each batch.
const OWNERS_PART: usize = 4;

pub(crate) struct FairQueue<T> {
    most: usize,
    state: Mutex<State<T>>,
    arrived: Notify,
}

struct State<T> {
    waiting: HashMap<u128, VecDeque<T>>,
    /// Waiting owners, in the order in which they are served.
    turns: VecDeque<u128>,
    length: usize,
    closed: bool,
}

/// Why an item wasn't queued. Holds the item.
pub(crate) enum Rejected<T> {
    /// No room for this owner.
    Full(T),
    /// The queue is closed.
    Closed(T),
}

impl<T> FairQueue<T> {
    /// A queue of at most `most` items.
    pub fn new(most: usize) -> Self {
        let state = State { waiting: HashMap::new(), turns: VecDeque::new(), length: 0, closed: false };
        Self { most: most.max(1), state: Mutex::new(state), arrived: Notify::new() }
    }

    /// Queues an item. Returns another owner's item if one was evicted for it.
    ///
    /// # Errors
    /// If there is no room, or the queue is closed.
    pub fn push(&self, owner: u128, item: T) -> Result<Option<T>, Rejected<T>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Rejected::Closed(item));
        }
        let own = state.waiting.get(&owner).map_or(0, VecDeque::len);
        if own >= part(self.most) {
            return Err(Rejected::Full(item));
        }
        let evicted = if state.length < self.most { None } else { state.evict(own) };
        if state.length >= self.most {
            return Err(Rejected::Full(item));
        }
        state.put(owner, item);
        drop(state);
        self.arrived.notify_one();
        Ok(evicted)
    }

    /// Takes up to `most` waiting items; waits for the first. Returns none once the queue is closed and empty.
    pub async fn take(&self, most: usize) -> Vec<T> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.state.lock();
                let taken = state.take(most.max(1));
                if !taken.is_empty() || state.closed {
                    let more = state.length > 0 || state.closed;
                    drop(state);
                    if more {
                        // Wakes another taker.
                        self.arrived.notify_one();
                    }
                    return taken;
                }
            }
            arrived.await;
        }
    }

    /// Accepts no more items; waiting ones can still be taken.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Closes the queue and drops the waiting items.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        state.turns.clear();
        state.length = 0;
        drop((state, waiting));
        self.arrived.notify_one();
    }

    /// The number of waiting items.
    pub fn len(&self) -> usize {
        self.state.lock().length
    }
}

impl<T> State<T> {
    fn put(&mut self, owner: u128, item: T) {
        let items = self.waiting.entry(owner).or_default();
        if items.is_empty() {
            self.turns.push_back(owner);
        }
        items.push_back(item);
        self.length += 1;
    }

    /// The newest item of the owner with the most items, if that owner has more than an owner with `own` items would
    /// have after adding one.
    fn evict(&mut self, own: usize) -> Option<T> {
        let longest = self.waiting.values_mut().max_by_key(|items| items.len())?;
        if longest.len() <= own + 1 {
            return None;
        }
        self.length -= 1;
        longest.pop_back()
    }

    fn take(&mut self, most: usize) -> Vec<T> {
        let each = part(most);
        let mut taken = Vec::with_capacity(most.min(self.length));
        // One round for each item of an owner. An owner that has reached its share waits for the next batch, ahead of
        // later owners.
        for _ in 0..each {
            for _ in 0..self.turns.len() {
                if taken.len() == most {
                    return taken;
                }
                let Some(owner) = self.turns.pop_front() else { return taken };
                let Some(items) = self.waiting.get_mut(&owner) else { continue };
                taken.extend(items.pop_front());
                self.length -= 1;
                if items.is_empty() {
                    self.waiting.remove(&owner);
                } else {
                    self.turns.push_back(owner);
                }
            }
        }
        taken
    }
}

/// An owner's share of `of`.
fn part(of: usize) -> usize {
    of.div_ceil(OWNERS_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &FairQueue<(u128, u32)>, owner: u128, items: std::ops::Range<u32>) -> usize {
        items.filter(|item| queue.push(owner, (owner, *item)).is_ok()).count()
    }

    #[tokio::test]
    async fn one_item_of_each_owner_comes_before_a_second_of_any() {
        let queue = FairQueue::new(1000);
        push(&queue, 1, 0..100);
        push(&queue, 2, 0..2);
        push(&queue, 3, 0..1);
        assert_eq!(queue.take(8).await, [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1)]);
        assert_eq!(queue.take(8).await, [(1, 2), (1, 3)], "an owner alone takes its part and no more");
        assert_eq!(queue.len(), 96);
    }

    #[tokio::test]
    async fn an_owner_fills_its_part_of_the_queue_and_leaves_the_rest_to_others() {
        let queue = FairQueue::new(8);
        assert_eq!(push(&queue, 1, 0..10), 2);
        assert_eq!(push(&queue, 2, 0..10), 2);
        assert_eq!(queue.take(100).await.len(), 4);
        assert_eq!(push(&queue, 1, 0..10), 2, "what was taken makes room");
    }

    #[test]
    fn in_a_full_queue_the_newest_of_who_has_the_most_gives_way() {
        let queue = FairQueue::new(8);
        for owner in 1..=4 {
            assert_eq!(push(&queue, owner, 0..2), 2);
        }
        // All have two items: one of them is evicted for a fifth owner, but none for an owner who would then have as
        // many.
        let evicted = queue.push(5, (5, 0)).ok().flatten().unwrap();
        assert_eq!(evicted.1, 1);
        assert!(matches!(queue.push(5, (5, 1)), Err(Rejected::Full((5, 1)))));
        assert_eq!(queue.len(), 8);
    }

    #[tokio::test]
    async fn a_closed_queue_gives_what_it_has_and_then_nothing() {
        let queue = FairQueue::new(8);
        push(&queue, 1, 0..2);
        queue.close();
        assert!(matches!(queue.push(2, (2, 0)), Err(Rejected::Closed(_))));
        assert_eq!(queue.take(100).await.len(), 2);
        assert!(queue.take(100).await.is_empty());
        assert!(queue.take(100).await.is_empty(), "for each one who takes");
    }
}
