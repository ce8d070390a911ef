//! The window of a bidirectional feed: deliveries that were sent and aren't acknowledged. Their number is limited, and
//! none is sent twice.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::notice::Kind;

/// Default number of unacknowledged notices.
pub const DEFAULT_UNACKNOWLEDGED: usize = 100;
/// Maximum number of remembered acknowledgements of deliveries that this feed hasn't sent yet.
const MAX_EARLY: usize = 1_000;

/// The window of one feed.
#[derive(Debug, Default)]
pub struct Window {
    kinds: Vec<Kind>,
    most: usize,
    /// Sent and not acknowledged: sequences by id.
    open: HashMap<Uuid, i64>,
    /// Deliveries acknowledged before they were sent: a client that reconnects may have shown them in its last feed.
    early: HashSet<Uuid>,
}

impl Window {
    /// Creates a window of at most `most` notices (0: the default) of these kinds (empty: all).
    #[must_use]
    pub fn new(kinds: &[Kind], most: usize) -> Self {
        let mut window = Self::default();
        window.change(kinds, most);
        window
    }

    /// Changes the kinds and the size; open notices stay open.
    pub fn change(&mut self, kinds: &[Kind], most: usize) {
        self.kinds = if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds.to_vec() };
        self.most = if most == 0 { DEFAULT_UNACKNOWLEDGED } else { most };
    }

    /// The requested kinds.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The maximum number of open notices.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// The number of notices that may be sent now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.most.saturating_sub(self.open.len())
    }

    /// The ids of all open notices.
    #[must_use]
    pub fn open(&self) -> Vec<Uuid> {
        self.open.keys().copied().collect()
    }

    /// Records a notice that is about to be sent. `false`: the client has already acknowledged it, so it needn't be
    /// sent.
    pub fn send(&mut self, id: Uuid, sequence: i64) -> bool {
        if self.early.remove(&id) {
            return false;
        }
        self.open.insert(id, sequence);
        true
    }

    /// Applies an acknowledgement; returns the newly acknowledged sequences and ids. Ids that haven't been sent yet are
    /// remembered, within bounds; ids that were acknowledged before are ignored.
    pub fn acknowledge(&mut self, ids: &[Uuid]) -> Vec<(i64, Uuid)> {
        let mut acknowledged = Vec::with_capacity(ids.len());
        for id in ids {
            match self.open.remove(id) {
                Some(sequence) => acknowledged.push((sequence, *id)),
                None if self.early.len() < MAX_EARLY => drop(self.early.insert(*id)),
                None => {}
            }
        }
        acknowledged
    }

    /// Clears the open deliveries: everything unacknowledged will be redelivered.
    pub fn begin_again(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn acknowledgements_make_room() {
        let mut window = Window::new(&[], 2);
        assert!(window.send(id(1), 1) && window.send(id(2), 2));
        assert_eq!(window.room(), 0);
        assert_eq!(window.acknowledge(&[id(2)]), [(2, id(2))]);
        assert_eq!((window.room(), window.open()), (1, vec![id(1)]));
        assert!(window.acknowledge(&[id(2)]).is_empty(), "the second is no news");
    }

    #[test]
    fn what_was_acknowledged_before_it_was_sent_is_not_sent() {
        let mut window = Window::new(&[], 0);
        assert!(window.acknowledge(&[id(7)]).is_empty());
        assert!(!window.send(id(7), 9));
        assert!(window.send(id(8), 10));
        assert_eq!(window.room(), DEFAULT_UNACKNOWLEDGED - 1);
    }

    #[test]
    fn a_window_that_begins_again_has_room_and_sends_what_was_open() {
        let mut window = Window::new(&[], 1);
        assert!(window.send(id(1), 1));
        window.begin_again();
        assert_eq!((window.room(), window.open()), (1, vec![]));
        assert!(window.send(id(1), 1));
    }

    #[test]
    fn early_acknowledgements_are_bounded() {
        let mut window = Window::new(&[], 0);
        let ids: Vec<Uuid> = (0..5_000).map(id).collect();
        window.acknowledge(&ids);
        assert_eq!(window.early.len(), MAX_EARLY);
    }

    #[test]
    fn a_smaller_window_waits_until_there_is_room() {
        let mut window = Window::new(&[Kind::Welcome], 10);
        for number in 0..10 {
            window.send(id(number), 1);
        }
        window.change(&[], 3);
        assert_eq!((window.room(), window.kinds().len(), window.most()), (0, Kind::ALL.len(), 3));
    }
}
