//! The in-memory store: transactions with ids, savepoints and rollback over maps.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use flotilla_clock::Ids;
use flotilla_messaging::frame::{self, Frame, FrameBuilder};
use flotilla_messaging::store::{ConsumerLoss, Cursor, StreamMark, StreamRecord};
use flotilla_messaging::{Event, StoreError, Waker};
use flotilla_postgres::ErrorKind;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use uuid::Uuid;

/// A planted fault of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The next transaction doesn't begin.
    Begin(ErrorKind),
    /// The next commit fails and is rolled back.
    Commit(ErrorKind),
    /// The next commit succeeds, but its response is lost.
    CommitAnswer,
    /// The next move of the relay's cursor fails.
    Advance(ErrorKind),
}

/// A parked message.
#[derive(Debug, Clone)]
pub struct ParkedRow {
    /// The message.
    pub event: Event,
    /// Why it is parked.
    pub reason: String,
    /// It is a dead letter, which isn't retried.
    pub dead: bool,
    /// Attempts so far.
    pub attempts: i32,
    /// When it is due.
    pub due: Instant,
}

/// One service's tables. Clones share them.
#[derive(Clone)]
pub struct MemoryStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) service: &'static str,
    pub(super) state: Mutex<State>,
    /// Held from the first claim to the end of a transaction: two transactions never claim at once.
    pub(super) claims: Arc<tokio::sync::Mutex<()>>,
    pub(super) waker: Waker,
    pub(super) ids: Ids,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) generation: i64,
    pub(super) generations: Vec<i64>,
    pub(super) last_xid: u64,
    pub(super) running: BTreeSet<u64>,
    pub(super) outbox: BTreeMap<Cursor, OutboxEntry>,
    pub(super) lease: LeaseRow,
    pub(super) checkpoints: BTreeMap<(i64, u64), Cursor>,
    pub(super) record: Option<StreamRecord>,
    pub(super) losses: Vec<ConsumerLoss>,
    pub(super) inbox: HashSet<(&'static str, Uuid)>,
    pub(super) parked: BTreeMap<(&'static str, Uuid), ParkedRow>,
    /// Parked messages that a transaction is processing.
    pub(super) locked: HashSet<(&'static str, Uuid)>,
    pub(super) values: BTreeMap<String, i64>,
    pub(super) faults: VecDeque<StoreFault>,
}

#[derive(Debug, Clone)]
pub(super) struct OutboxEntry {
    pub(super) frame: Frame,
    pub(super) since: Instant,
}

#[derive(Debug, Clone, Default)]
pub(super) struct LeaseRow {
    pub(super) epoch: i64,
    pub(super) holder: String,
    pub(super) until: Option<Instant>,
    pub(super) cursor: Option<Cursor>,
    pub(super) stream: Option<StreamMark>,
}

/// The writes of a transaction so far.
#[derive(Default, Clone)]
pub(super) struct Writes {
    /// What was appended together shares frames.
    pub(super) outbox: Vec<Vec<Event>>,
    pub(super) inbox: Vec<(&'static str, Uuid)>,
    pub(super) parked: Vec<(&'static str, Uuid, Option<ParkedRow>)>,
    pub(super) values: BTreeMap<String, i64>,
}

/// A transaction. It is rolled back on drop.
pub struct MemoryTx {
    pub(super) shared: Arc<Shared>,
    pub(super) xid: Option<u64>,
    pub(super) writes: Writes,
    pub(super) savepoint: Option<Writes>,
    pub(super) claim: Option<OwnedMutexGuard<()>>,
    pub(super) locked: Vec<(&'static str, Uuid)>,
}

impl MemoryStore {
    /// Empty tables of a service, whose frames get their ids from `ids`.
    pub fn new(service: &'static str, ids: Ids) -> Self {
        let state = State { generation: 1, generations: vec![1], ..State::default() };
        let (claims, waker) = (Arc::default(), Waker::default());
        Self { shared: Arc::new(Shared { service, state: Mutex::new(state), claims, waker, ids }) }
    }

    /// The waker of this store's relay.
    pub fn waker(&self) -> Waker {
        self.shared.waker.clone()
    }

    /// Begins a transaction without a fault.
    pub fn transaction(&self) -> MemoryTx {
        MemoryTx {
            shared: Arc::clone(&self.shared),
            xid: None,
            writes: Writes::default(),
            savepoint: None,
            claim: None,
            locked: Vec::new(),
        }
    }

    /// Makes the next matching operation fail; several faults are queued.
    pub fn fail(&self, fault: StoreFault) {
        self.shared.state.lock().faults.push_back(fault);
    }

    /// A committed number.
    pub fn value(&self, key: &str) -> i64 {
        self.shared.state.lock().values.get(key).copied().unwrap_or_default()
    }

    /// All committed numbers whose key starts with `prefix`.
    pub fn values(&self, prefix: &str) -> BTreeMap<String, i64> {
        let state = self.shared.state.lock();
        state
            .values
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), *value))
            .collect()
    }

    /// All committed events of the outbox, in the order of transaction ids.
    pub fn outbox(&self) -> Vec<Event> {
        self.frames().iter().flat_map(events).collect()
    }

    /// All committed frames of the outbox, in the order of transaction ids.
    pub fn frames(&self) -> Vec<Frame> {
        self.shared.state.lock().outbox.values().map(|entry| entry.frame.clone()).collect()
    }

    /// All parked messages.
    pub fn parked(&self) -> Vec<(&'static str, ParkedRow)> {
        self.shared.state.lock().parked.iter().map(|((consumer, _), row)| (*consumer, row.clone())).collect()
    }

    /// The permanent losses that the relay has found.
    pub fn losses(&self) -> Vec<ConsumerLoss> {
        self.shared.state.lock().losses.clone()
    }

    /// Drops the rows up to the relay's cursor, and all checkpoints but the newest, as retention does with old ones.
    pub fn drop_published(&self) {
        let mut state = self.shared.state.lock();
        let (Some(cursor), Some(stream)) = (state.lease.cursor, state.lease.stream) else { return };
        state.outbox.retain(|place, _| *place > cursor);
        state.checkpoints.clear();
        state.checkpoints.insert((stream.created, stream.sequence), cursor);
    }

    /// The relay's cursor.
    pub fn cursor(&self) -> Option<Cursor> {
        self.shared.state.lock().lease.cursor
    }

    /// Whether every outbox row is at or before the cursor.
    pub fn all_published(&self) -> bool {
        let state = self.shared.state.lock();
        let last = state.outbox.keys().map(|key| (state.ordinal(key.generation), key.xid, key.id)).max();
        let cursor = state.lease.cursor.map(|key| (state.ordinal(key.generation), key.xid, key.id));
        last <= cursor || last.is_none()
    }

    /// Moves the tables to another cluster: a new generation of transaction ids begins with low numbers.
    pub fn restore_elsewhere(&self, generation: i64) {
        let mut state = self.shared.state.lock();
        state.generation = generation;
        state.last_xid = 0;
    }
}

impl State {
    pub(super) fn ordinal(&self, generation: i64) -> usize {
        self.generations.iter().position(|known| *known == generation).unwrap_or(usize::MAX)
    }

    /// Removes and returns the first queued fault that `matches`.
    pub(super) fn fault(&mut self, matches: impl Fn(StoreFault) -> bool) -> Option<StoreFault> {
        let place = self.faults.iter().position(|fault| matches(*fault))?;
        self.faults.remove(place)
    }
}

fn events(frame: &Frame) -> Vec<Event> {
    let events = frame::decode(&frame.subject, &frame.payload).expect("a frame");
    events.into_iter().map(|event| event.expect("an event")).collect()
}

pub(super) fn broken(kind: ErrorKind) -> StoreError {
    StoreError::new(kind, format!("planted fault: {}", kind.as_str()))
}

impl MemoryTx {
    /// Adds to a number of the handler's own.
    pub fn add(&mut self, key: impl Into<String>, amount: i64) {
        self.begin_writing();
        *self.writes.values.entry(key.into()).or_default() += amount;
    }

    /// A number as this transaction sees it.
    pub fn value(&self, key: &str) -> i64 {
        let committed = self.shared.state.lock().values.get(key).copied().unwrap_or_default();
        committed + self.writes.values.get(key).copied().unwrap_or_default()
    }

    /// Appends to the outbox.
    pub fn append(&mut self, events: &[Event]) {
        if !events.is_empty() {
            self.begin_writing();
            self.writes.outbox.push(events.to_vec());
        }
    }

    /// Assigns a transaction id, as the first write does.
    pub fn begin_writing(&mut self) {
        if self.xid.is_none() {
            let mut state = self.shared.state.lock();
            state.last_xid += 1;
            let xid = state.last_xid;
            state.running.insert(xid);
            self.xid = Some(xid);
        }
    }

    /// Commits, and wakes the relay if events were appended.
    ///
    /// # Errors
    /// A planted fault.
    pub fn commit(mut self) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        let fault = state.fault(|fault| matches!(fault, StoreFault::Commit(_) | StoreFault::CommitAnswer));
        if let Some(StoreFault::Commit(kind)) = fault {
            return Err(broken(kind));
        }
        let writes = std::mem::take(&mut self.writes);
        if let Some(xid) = self.xid.take() {
            state.running.remove(&xid);
            if !writes.outbox.is_empty() {
                self.shared.waker.wake(xid);
            }
            state.apply(xid, writes, &self.shared);
        }
        drop(state);
        match fault {
            Some(_) => Err(broken(ErrorKind::Unavailable)),
            None => Ok(()),
        }
    }
}

impl State {
    fn apply(&mut self, xid: u64, writes: Writes, shared: &Shared) {
        let generation = self.generation;
        let source = flotilla_messaging::source_of(shared.service);
        for events in &writes.outbox {
            let mut builder = FrameBuilder::new(&source, &shared.ids, usize::MAX);
            events.iter().for_each(|event| builder.add(event).expect("no event is too large"));
            for frame in builder.finish() {
                let place = Cursor { generation, xid, id: frame.id };
                self.outbox.insert(place, OutboxEntry { frame, since: Instant::now() });
            }
        }
        self.inbox.extend(writes.inbox);
        for (consumer, id, row) in writes.parked {
            match row {
                Some(row) => self.parked.insert((consumer, id), row),
                None => self.parked.remove(&(consumer, id)),
            };
        }
        for (key, amount) in writes.values {
            *self.values.entry(key).or_default() += amount;
        }
    }
}

impl Drop for MemoryTx {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if let Some(xid) = self.xid {
            state.running.remove(&xid);
        }
        for message in &self.locked {
            state.locked.remove(message);
        }
    }
}
