//! Losses of the in-memory broker, and what it reports about them. Like NATS, it advances a consumer's ack floor past
//! lost messages.

use std::ops::RangeInclusive;
use std::time::Duration;

use flotilla_messaging::broker::ConsumerState;
use flotilla_messaging::ranges::Ranges;

use super::{Durable, MemoryBroker, Stream};

impl MemoryBroker {
    /// Loses the last messages of a stream; its consumers are unchanged.
    pub fn cut_tail(&self, stream: &str, messages: u64) {
        self.change(stream, |stream| {
            stream.last = stream.last.saturating_sub(messages);
            stream.first = stream.first.min(stream.last + 1);
            drop(stream.messages.split_off(&(stream.last + 1)));
        });
    }

    /// Loses the first messages of a stream, as if they had aged out.
    pub fn age(&self, stream: &str, messages: u64) {
        self.change(stream, |stream| {
            let first = (stream.first + messages).min(stream.last + 1);
            stream.lose(stream.first..=first - 1);
            stream.first = first;
        });
    }

    /// Loses all messages of a stream; its last sequence stays.
    pub fn purge(&self, stream: &str) {
        self.age(stream, u64::MAX / 2);
    }

    /// Loses the messages with these sequences, as by single deletions or damaged files.
    pub fn lose(&self, stream: &str, sequences: RangeInclusive<u64>) {
        self.change(stream, |stream| {
            let sequences = (*sequences.start()).max(1)..=(*sequences.end()).min(stream.last);
            stream.lose(sequences);
            // A server reports its first message's sequence as the first.
            stream.first = stream.messages.keys().next().map_or(stream.last + 1, |first| *first);
        });
    }

    /// Deletes a durable consumer.
    pub fn delete_consumer(&self, stream: &str, consumer: &str) {
        self.change(stream, |stream| stream.consumers.retain(|name, _| *name != consumer));
    }

    /// Fills the disk or frees it. A stream that was published to while the disk was full refuses messages until it is
    /// recreated.
    pub fn set_full(&self, full: bool) {
        self.shared.state.lock().full = full;
    }

    /// How long a publication takes.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state.lock().latency = latency;
    }

    /// The last sequence of a stream.
    pub fn last(&self, stream: &str) -> u64 {
        self.shared.state.lock().streams.get(stream).map_or(0, |stream| stream.last)
    }

    fn change(&self, stream: &str, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.shared.state.lock().streams.get_mut(stream) {
            change(stream);
        }
        self.shared.changed.notify_waiters();
    }
}

impl Stream {
    fn lose(&mut self, sequences: RangeInclusive<u64>) {
        self.messages.retain(|sequence, _| !sequences.contains(sequence));
        for durable in self.consumers.values_mut() {
            durable.pending.retain(|sequence, _| !sequences.contains(sequence));
        }
    }

    pub(super) fn deleted(&self) -> Ranges {
        let held = Ranges::from_sorted(self.messages.keys().copied());
        Ranges::one(self.first, self.last).without(&held)
    }

    pub(super) fn consumer_states(&self) -> Vec<ConsumerState> {
        self.consumers.iter().map(|(name, durable)| self.consumer_state(name, durable)).collect()
    }

    fn consumer_state(&self, name: &str, durable: &Durable) -> ConsumerState {
        let waiting = self.messages.range(durable.next..).find(|(_, found)| durable.wants(&found.subject));
        let unacked = durable.pending.keys().next().copied().into_iter().chain(waiting.map(|(at, _)| *at)).min();
        ConsumerState {
            name: name.to_owned(),
            created: durable.created,
            // As far as possible: past everything that is gone or on other subjects.
            floor: unacked.map_or(self.last, |unacked| unacked - 1),
            idle: unacked.is_none(),
        }
    }
}
