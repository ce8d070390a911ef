//! The in-memory broker: streams with sequences, durable consumers with an ack wait, and a broker's failures.

mod losing;
mod reading;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_messaging::broker::{Broker, ConsumerState, StreamConfig, StreamState};
use flotilla_messaging::frame::{FramePart, Message};
use flotilla_messaging::ranges::Ranges;
use flotilla_messaging::store::StreamMark;
use flotilla_messaging::{BrokerError, ConsumerSpec};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

pub use reading::{MemoryDelivery, MemoryPings, MemorySubscription};

/// Maximum size of a message, as of a server with default settings.
const MAX_MESSAGE_BYTES: usize = 1_024 * 1_024;

/// A broker. Clones are connections to the same broker.
#[derive(Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when frames may have become deliverable.
    changed: Notify,
    pings: broadcast::Sender<(String, Bytes)>,
    ack_wait: Duration,
}

#[derive(Default)]
struct State {
    down: bool,
    full: bool,
    latency: Duration,
    lose_acks: u32,
    nameless: bool,
    redeliveries: u64,
    created: i64,
    streams: HashMap<String, Stream>,
}

struct Stream {
    created: i64,
    subjects: Vec<String>,
    /// The first sequence; all messages below are gone.
    first: u64,
    /// Refuses all messages, even if there is space.
    refuses: bool,
    last: u64,
    messages: BTreeMap<u64, Stored>,
    consumers: HashMap<&'static str, Durable>,
}

/// A message in a stream.
struct Stored {
    subject: String,
    payload: Bytes,
    frames: Option<Vec<FramePart>>,
}

struct Durable {
    created: i64,
    subjects: &'static [&'static str],
    next: u64,
    /// Delivered and unacked messages: the time of their redelivery, and their delivery count.
    pending: BTreeMap<u64, (Instant, u32)>,
}

impl MemoryBroker {
    /// An empty broker.
    pub fn new(ack_wait: Duration) -> Self {
        let (pings, _) = broadcast::channel(1_024);
        let shared = Shared { state: Mutex::default(), changed: Notify::new(), pings, ack_wait };
        Self { shared: Arc::new(shared) }
    }

    /// Makes the broker unavailable or available.
    pub fn set_down(&self, down: bool) {
        self.shared.state.lock().down = down;
        self.shared.changed.notify_waiters();
    }

    /// Removes all streams and consumers, as if its directory were wiped.
    pub fn wipe(&self) {
        self.shared.state.lock().streams.clear();
        self.shared.changed.notify_waiters();
    }

    /// Stores the next publications but loses their acks.
    pub fn lose_acks(&self, publications: u32) {
        self.shared.state.lock().lose_acks = publications;
    }

    /// Messages published from now on don't name their frames, as those of the previous release.
    pub fn set_nameless(&self, nameless: bool) {
        self.shared.state.lock().nameless = nameless;
    }

    /// The messages of a stream.
    pub fn messages(&self, stream: &str) -> Vec<(u64, String, Bytes)> {
        let state = self.shared.state.lock();
        state.streams.get(stream).map_or_else(Vec::new, |stream| {
            stream.messages.iter().map(|(at, found)| (*at, found.subject.clone(), found.payload.clone())).collect()
        })
    }

    /// Puts a message into a stream, as a foreign writer would.
    pub fn inject(&self, stream: &str, subject: &str, payload: Bytes) {
        self.inject_frames(stream, subject, payload, None);
    }

    /// Adds a message to a stream, with or without the names of its frames.
    pub fn inject_frames(&self, stream: &str, subject: &str, payload: Bytes, frames: Option<Vec<FramePart>>) {
        let mut state = self.shared.state.lock();
        if let Some(stream) = state.streams.get_mut(stream) {
            stream.store(Stored { subject: subject.to_owned(), payload, frames });
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Number of frames of a stream that are undelivered or unacked, summed over its consumers.
    pub fn unacked(&self, stream: &str) -> usize {
        let state = self.shared.state.lock();
        state.streams.get(stream).map_or(0, |stream| {
            stream
                .consumers
                .values()
                .map(|durable| {
                    let waiting =
                        stream.messages.range(durable.next..).filter(|(_, found)| durable.wants(&found.subject));
                    durable.pending.len() + waiting.count()
                })
                .sum()
        })
    }

    /// Number of redeliveries.
    pub fn redeliveries(&self) -> u64 {
        self.shared.state.lock().redeliveries
    }

    /// Durable consumers of a stream.
    pub fn consumers(&self, stream: &str) -> usize {
        self.shared.state.lock().streams.get(stream).map_or(0, |stream| stream.consumers.len())
    }

    fn reach(&self) -> Result<parking_lot::MutexGuard<'_, State>, BrokerError> {
        let state = self.shared.state.lock();
        if state.down { Err(BrokerError::Unavailable("down".to_owned())) } else { Ok(state) }
    }
}

impl Stream {
    fn state(&self) -> StreamState {
        StreamState {
            mark: StreamMark { created: self.created, sequence: self.last },
            first: self.first,
            deleted: (self.last + 1).saturating_sub(self.first) - self.messages.len() as u64,
        }
    }

    fn store(&mut self, message: Stored) -> u64 {
        self.last += 1;
        self.messages.insert(self.last, message);
        self.last
    }
}

impl Durable {
    fn wants(&self, subject: &str) -> bool {
        self.subjects.is_empty() || self.subjects.iter().any(|pattern| matches(pattern, subject))
    }
}

/// Whether a subject matches a pattern with `*` and `>`.
fn matches(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for part in pattern.split('.') {
        match (part, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(found)) if part == found => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

impl Broker for MemoryBroker {
    type Subscription = MemorySubscription;
    type Pings = MemoryPings;

    async fn ensure_stream(&self, stream: &StreamConfig) -> Result<StreamState, BrokerError> {
        tokio::task::yield_now().await;
        let mut state = self.reach()?;
        state.created += 1;
        let created = state.created;
        let found = state.streams.entry(stream.name.to_owned()).or_insert_with(|| Stream {
            created,
            subjects: stream.subjects.clone(),
            first: 1,
            refuses: false,
            last: 0,
            messages: BTreeMap::new(),
            consumers: HashMap::new(),
        });
        found.subjects.clone_from(&stream.subjects);
        Ok(found.state())
    }

    async fn stream_state(&self, stream: &str) -> Result<Option<StreamState>, BrokerError> {
        tokio::task::yield_now().await;
        Ok(self.reach()?.streams.get(stream).map(Stream::state))
    }

    async fn deleted(&self, stream: &str) -> Result<Ranges, BrokerError> {
        tokio::task::yield_now().await;
        let state = self.reach()?;
        state.streams.get(stream).map(Stream::deleted).ok_or_else(|| BrokerError::NoStream(stream.to_owned()))
    }

    async fn consumers(&self, stream: &str) -> Result<Vec<ConsumerState>, BrokerError> {
        tokio::task::yield_now().await;
        Ok(self.reach()?.streams.get(stream).map(Stream::consumer_states).unwrap_or_default())
    }

    async fn delete_stream(&self, stream: &str) -> Result<(), BrokerError> {
        tokio::task::yield_now().await;
        self.reach()?.streams.remove(stream);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn probe(&self, _: &str, _: usize) -> Result<(), BrokerError> {
        tokio::task::yield_now().await;
        if self.reach()?.full { Err(BrokerError::Unavailable("no space left".to_owned())) } else { Ok(()) }
    }

    async fn publish(&self, stream: &str, last: u64, messages: Vec<Message>) -> Result<Vec<u64>, BrokerError> {
        tokio::task::yield_now().await;
        let latency = self.shared.state.lock().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let mut state = self.reach()?;
        let lost = state.lose_acks > 0;
        state.lose_acks = state.lose_acks.saturating_sub(1);
        let (full, nameless) = (state.full, state.nameless);
        let Some(found) = state.streams.get_mut(stream) else { return Err(BrokerError::NoStream(stream.to_owned())) };
        found.refuses |= full;
        if found.refuses {
            return Err(BrokerError::Unavailable("no space left".to_owned()));
        }
        let mut sequences = Vec::with_capacity(messages.len());
        let mut refused = None;
        for (message, expected) in messages.into_iter().zip(last..) {
            if !found.subjects.iter().any(|pattern| matches(pattern, &message.subject)) {
                return Err(BrokerError::NoStream(message.subject));
            }
            if message.payload.len() > MAX_MESSAGE_BYTES {
                return Err(BrokerError::Refused(format!("{} bytes in one message", message.payload.len())));
            }
            // As in NATS: each frame is checked by itself, and an expected zero means no check.
            if found.last == expected || expected == 0 {
                let Message { subject, payload, frames, .. } = message;
                let frames = Some(frames).filter(|_| !nameless);
                sequences.push(found.store(Stored { subject, payload, frames }));
            } else {
                refused = Some(format!("it is {}, not {expected}", found.last));
            }
        }
        drop(state);
        self.shared.changed.notify_waiters();
        match refused {
            Some(reason) => Err(BrokerError::WrongLastSequence(reason)),
            None if lost => Err(BrokerError::Unavailable("acks lost".to_owned())),
            None => Ok(sequences),
        }
    }

    async fn delete_consumers(&self, stream: &str) -> Result<(), BrokerError> {
        tokio::task::yield_now().await;
        if let Some(stream) = self.reach()?.streams.get_mut(stream) {
            stream.consumers.clear();
        }
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn subscribe(&self, spec: &ConsumerSpec) -> Result<MemorySubscription, BrokerError> {
        tokio::task::yield_now().await;
        let mut state = self.reach()?;
        state.created += 1;
        let created = state.created;
        let Some(stream) = state.streams.get_mut(spec.stream) else {
            return Err(BrokerError::NoStream(spec.stream.to_owned()));
        };
        let new = Durable { created, subjects: spec.subjects, next: 1, pending: BTreeMap::new() };
        stream.consumers.entry(spec.name).or_insert(new).subjects = spec.subjects;
        Ok(MemorySubscription { broker: self.clone(), stream: spec.stream, consumer: spec.name })
    }

    async fn ping(&self, subject: &str, payload: Bytes) -> Result<(), BrokerError> {
        drop(self.reach()?);
        // A ping without receivers is no error.
        self.shared.pings.send((subject.to_owned(), payload)).ok();
        Ok(())
    }

    async fn pings(&self, subject: &str) -> Result<MemoryPings, BrokerError> {
        drop(self.reach()?);
        Ok(MemoryPings { subject: subject.to_owned(), receiver: self.shared.pings.subscribe() })
    }

    async fn flush(&self) -> Result<(), BrokerError> {
        self.reach().map(drop)
    }

    fn is_up(&self) -> bool {
        !self.shared.state.lock().down
    }
}
