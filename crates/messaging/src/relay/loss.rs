//! Detects which messages a stream has lost before its end, and which consumers need them.
//!
//! A server advances a consumer's ack floor past messages that are gone, so ack floors read after a loss prove nothing.
//! Only floors that were read while the stream had no new loss are used. A loss matters to a consumer if it reaches
//! above that floor. Messages that every consumer has acked age out without further action.

use std::time::Duration;

use tokio::time::Instant;

use crate::broker::{ConsumerState, StreamState};
use crate::ranges::Ranges;
use crate::store::{ConsumerLoss, KnownConsumer, StreamRecord};

/// The maximum number of deleted messages that are listed; the list takes a few megabytes.
const MOST_LISTED: u64 = 500_000;
/// The maximum number of ranges of either kind in a record.
const MOST_RANGES: usize = 4_096;

/// What must still be requested from the broker, if anything.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LossCheck {
    /// Nothing: these sequences are gone.
    Gone(Ranges),
    /// The list of deleted messages.
    List,
}

impl StreamRecord {
    /// The record of a stream of which only the creation time is known.
    pub(super) fn of(created: i64) -> Self {
        Self { created, ..Self::default() }
    }

    /// The sequences that are gone, as far as the counts can tell.
    pub(super) fn check(&self, found: &StreamState) -> LossCheck {
        let mut gone = self.gone.clone();
        gone.insert(1, found.first - 1);
        let known = gone.count(found.first, found.mark.sequence);
        if known == found.deleted || (self.unlisted > 0 && found.deleted > 0 && found.deleted <= self.unlisted) {
            return LossCheck::Gone(gone);
        }
        if found.deleted == 0 {
            return LossCheck::Gone(Ranges::one(1, found.first - 1));
        }
        if found.deleted > MOST_LISTED {
            // Any of them may be gone.
            return LossCheck::Gone(Ranges::one(1, found.mark.sequence));
        }
        LossCheck::List
    }

    /// The sequences that are gone, from the list of deleted messages.
    pub(super) fn listed(found: &StreamState, mut deleted: Ranges) -> Ranges {
        deleted.insert(1, found.first - 1);
        if deleted.len() > MOST_RANGES { Ranges::one(1, found.mark.sequence) } else { deleted }
    }

    /// The sequences that are newly gone and have not been republished.
    pub(super) fn fresh(&self, gone: &Ranges) -> Ranges {
        gone.without(&self.gone).without(&self.covered)
    }

    /// The lowest sequence among the lost ones that some consumer needs.
    pub(super) fn lowest_needed(&self, lost: &Ranges) -> Option<u64> {
        self.consumers.values().filter_map(|known| lost.first_above(known.floor)).min()
    }

    /// The losses that can't be republished. The outbox still has everything above the sequence `retained`.
    pub(super) fn losses(&self, lost: &Ranges, retained: u64) -> Vec<ConsumerLoss> {
        let mut beyond = lost.clone();
        beyond.truncate(retained);
        let of = |(name, known): (&String, &KnownConsumer)| {
            Some(ConsumerLoss { consumer: name.clone(), first: beyond.first_above(known.floor)?, last: beyond.last()? })
        };
        self.consumers.iter().filter_map(of).collect()
    }

    /// Marks what is gone as handled. Returns whether the record changed.
    pub(super) fn settle(&mut self, found: &StreamState, gone: Ranges) -> bool {
        // If there were too many to list, everything was treated as gone: only the range before the first sequence is
        // certain.
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

    /// Marks the sequences from `first` to `last` as republished.
    pub(super) fn cover(&mut self, first: u64, last: u64) {
        self.covered.insert(first, last);
        // Dropping the lowest ranges may only cause unnecessary republication.
        self.covered.keep_highest(MOST_RANGES);
    }

    /// Forgets everything above the stream's end: those sequences will be assigned to other messages.
    pub(super) fn cut(&mut self, last: u64) {
        self.gone.truncate(last);
        self.covered.truncate(last);
        for known in self.consumers.values_mut() {
            known.floor = known.floor.min(last);
        }
    }

    /// Accepts the ack floors: nothing that a consumer needs was lost since they were read. `sequence` was in the
    /// stream well before that. Returns whether the record has something to store.
    pub(super) fn observe(&mut self, consumers: Vec<ConsumerState>, sequence: u64, keep: Duration) -> bool {
        let now = Instant::now();
        let mut news = false;
        for state in consumers {
            // A consumer with nothing pending has also passed the messages on subjects that it doesn't read, whatever
            // its floor.
            let floor = if state.idle { state.floor.max(sequence) } else { state.floor };
            let known = KnownConsumer { created: state.created, floor, seen: now };
            match self.consumers.get_mut(&state.name) {
                Some(before) if before.created == state.created => {
                    news |= before.floor < floor;
                    *before = KnownConsumer { floor: floor.max(before.floor), ..known };
                }
                // A recreated consumer reads from the first message on and needs all of them.
                _ => {
                    news = true;
                    self.consumers.insert(state.name, known);
                }
            }
        }
        news | self.forget_unseen(keep)
    }

    /// Forgets consumers that have been missing for longer than the outbox keeps its rows.
    pub(super) fn forget_unseen(&mut self, keep: Duration) -> bool {
        let before = self.consumers.len();
        self.consumers.retain(|_, known| known.seen.elapsed() <= keep);
        self.consumers.len() < before
    }
}
