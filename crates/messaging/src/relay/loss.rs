//! Which messages a stream has lost behind its end, and whom that concerns.
//!
//! A server moves a consumer's ack floor over messages that are gone, so what it tells after a loss proves nothing. The
//! floors that count are those that were read while the stream was without a new loss. A loss concerns a consumer if it
//! reaches above that floor. What all had acked ages out without notice.

use std::time::Duration;

use tokio::time::Instant;

use crate::broker::{ConsumerState, StreamState};
use crate::ranges::Ranges;
use crate::store::{ConsumerLoss, KnownConsumer, StreamRecord};

/// The most deleted messages that are listed, some megabytes.
const MOST_LISTED: u64 = 500_000;
/// The most ranges that a record holds of either kind.
const MOST_RANGES: usize = 4_096;

/// What the broker must still be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing: these are gone.
    Gone(Ranges),
    /// The list of deleted messages.
    List,
}

impl StreamRecord {
    /// A stream of which nothing is known but its creation.
    pub(super) fn of(created: i64) -> Self {
        Self { created, ..Self::default() }
    }

    /// What is gone, as far as the counts tell.
    pub(super) fn look(&self, found: &StreamState) -> Look {
        let mut gone = self.gone.clone();
        gone.insert(1, found.first - 1);
        let known = gone.count(found.first, found.mark.sequence);
        if known == found.deleted || (self.unlisted > 0 && found.deleted > 0 && found.deleted <= self.unlisted) {
            return Look::Gone(gone);
        }
        if found.deleted == 0 {
            return Look::Gone(Ranges::one(1, found.first - 1));
        }
        if found.deleted > MOST_LISTED {
            // Any of them may be gone.
            return Look::Gone(Ranges::one(1, found.mark.sequence));
        }
        Look::List
    }

    /// What is gone, by the list of deleted messages.
    pub(super) fn listed(found: &StreamState, mut deleted: Ranges) -> Ranges {
        deleted.insert(1, found.first - 1);
        if deleted.len() > MOST_RANGES { Ranges::one(1, found.mark.sequence) } else { deleted }
    }

    /// What of it is neither known nor published again.
    pub(super) fn fresh(&self, gone: &Ranges) -> Ranges {
        gone.without(&self.gone).without(&self.covered)
    }

    /// The lowest sequence among the lost ones that some consumer needs.
    pub(super) fn lowest_needed(&self, lost: &Ranges) -> Option<u64> {
        self.consumers.values().filter_map(|known| lost.first_above(known.floor)).min()
    }

    /// What of the lost messages can't be published again: `retained` is the sequence above which the outbox still has
    /// all.
    pub(super) fn losses(&self, lost: &Ranges, retained: u64) -> Vec<ConsumerLoss> {
        let mut beyond = lost.clone();
        beyond.truncate(retained);
        let of = |(name, known): (&String, &KnownConsumer)| {
            Some(ConsumerLoss { consumer: name.clone(), first: beyond.first_above(known.floor)?, last: beyond.last()? })
        };
        self.consumers.iter().filter_map(of).collect()
    }

    /// Takes what is gone for dealt with. True if that was news.
    pub(super) fn settle(&mut self, found: &StreamState, gone: Ranges) -> bool {
        // More than can be listed were taken for gone whole: only the front is known.
        let unlisted = if gone.count(found.first, found.mark.sequence) == found.deleted { 0 } else { found.deleted };
        let mut gone = gone;
        if unlisted > 0 {
            gone.truncate(found.first - 1);
        }
        let news = self.gone != gone || self.unlisted != unlisted;
        self.gone = gone;
        self.unlisted = unlisted;
        news
    }

    /// Takes the sequences from `first` to `last` for published again.
    pub(super) fn cover(&mut self, first: u64, last: u64) {
        self.covered.insert(first, last);
        // Without the lowest ones more may be published again than need be.
        self.covered.keep_highest(MOST_RANGES);
    }

    /// Forgets everything above a stream's end: other messages will get those sequences.
    pub(super) fn cut(&mut self, last: u64) {
        self.gone.truncate(last);
        self.covered.truncate(last);
        for known in self.consumers.values_mut() {
            known.floor = known.floor.min(last);
        }
    }

    /// Takes the floors for true: since they were read nothing was lost that concerns anybody. `sequence` was in the
    /// stream well before they were read. True if there is something to keep.
    pub(super) fn observe(&mut self, consumers: Vec<ConsumerState>, sequence: u64, keep: Duration) -> bool {
        let now = Instant::now();
        let mut news = false;
        for state in consumers {
            // One that waits for nothing has acked what doesn't concern it too, whatever its floor.
            let floor = if state.idle { state.floor.max(sequence) } else { state.floor };
            let known = KnownConsumer { created: state.created, floor, seen: now };
            match self.consumers.get_mut(&state.name) {
                Some(before) if before.created == state.created => {
                    news |= before.floor < floor;
                    *before = KnownConsumer { floor: floor.max(before.floor), ..known };
                }
                // Made anew, it reads from the first message on and needs each of them.
                _ => {
                    news = true;
                    self.consumers.insert(state.name, known);
                }
            }
        }
        news | self.forget_unseen(keep)
    }

    /// A consumer that is gone for longer than the outbox keeps its rows is no longer wanted.
    pub(super) fn forget_unseen(&mut self, keep: Duration) -> bool {
        let before = self.consumers.len();
        self.consumers.retain(|_, known| known.seen.elapsed() <= keep);
        self.consumers.len() < before
    }
}
