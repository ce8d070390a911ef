//! The behaviours of every store: the outbox as the relay reads it, the relay's lease and records, the inbox, parked
//! messages.

mod inbox;
mod lease;
mod outbox;
mod parked;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flotilla_clock::Ids;
use flotilla_messaging::store::{Cursor, Effects, InboxStore, OutboxRow, OutboxStore, ParkedStore};
use flotilla_messaging::{Event, Waker, frame, postgres::PgStore};
use uuid::Uuid;

use crate::{TIMEOUT, eventually, memory::MemoryStore};

pub use inbox::*;
pub use lease::*;
pub use outbox::*;
pub use parked::*;

/// The service whose store is under test.
pub const SERVICE: &str = "orders";

const CONSUMER: &str = "contract-reader";
const RIVAL: &str = "contract-rival";
const SUBJECT: &str = "flotilla.orders.events";
const OTHER: &str = "flotilla.orders.others";
/// Longer than any behaviour takes.
const LONG: Duration = Duration::from_secs(600);

/// All traits of a store, and the waker of its relay.
pub trait Store: OutboxStore + ParkedStore {
    /// Woken by commits.
    fn waker(&self) -> Waker;
}

impl Store for MemoryStore {
    fn waker(&self) -> Waker {
        self.waker()
    }
}

impl Store for PgStore {
    fn waker(&self) -> Waker {
        self.waker()
    }
}

fn event(data: &str) -> Event {
    Event {
        id: Ids::system().next(),
        kind: "test.v1.Thing".to_owned(),
        source: String::new(),
        subject: SUBJECT.to_owned(),
        aggregate: "things/1".to_owned(),
        aggregate_version: 1,
        causation_id: None,
        partition_key: "things/1".to_owned(),
        traceparent: None,
        time: SystemTime::UNIX_EPOCH,
        deadline: None,
        data: Bytes::copy_from_slice(data.as_bytes()),
    }
}

/// Events whose ids are in order.
fn events(count: usize) -> Vec<Event> {
    let mut events: Vec<Event> = (0..count).map(|number| event(&number.to_string())).collect();
    events.sort_by_key(|event| event.id);
    events
}

fn ids(events: &[Event]) -> Vec<Uuid> {
    events.iter().map(|event| event.id).collect()
}

fn appending(events: &[Event]) -> Effects {
    Effects { events: events.to_vec(), ..Effects::default() }
}

/// Appends in one transaction.
async fn append(store: &impl Store, events: &[Event]) {
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, CONSUMER, &appending(events)).await.unwrap();
    store.commit(tx).await.unwrap();
}

/// A cursor before all rows of the current generation.
async fn start(store: &impl Store) -> Cursor {
    Cursor::start_of(*store.generations().await.unwrap().last().unwrap())
}

/// All committed rows of the outbox, settled or not.
async fn rows<S: Store>(store: &S) -> Vec<S::Row> {
    store.read(start(store).await, false, 1_000, usize::MAX).await.unwrap()
}

fn row_ids(rows: &[impl OutboxRow]) -> Vec<Uuid> {
    rows.iter().map(|row| row.position().1).collect()
}

/// The events of a row.
fn decoded(row: &impl OutboxRow) -> Vec<Event> {
    let events = frame::decode(row.subject(), &Bytes::copy_from_slice(row.payload())).unwrap();
    events.into_iter().map(Result::unwrap).collect()
}

/// The ids of the events of all rows.
fn event_ids(rows: &[impl OutboxRow]) -> Vec<Uuid> {
    rows.iter().flat_map(decoded).map(|event| event.id).collect()
}

/// Waits until the settled rows hold these events. Transactions of other tests on the same server can hold them back.
async fn eventually_settled(store: &impl Store, wanted: &[Uuid]) {
    let start = start(store).await;
    eventually("settled", TIMEOUT, || async {
        let found = event_ids(&store.read(start, true, 1_000, usize::MAX).await.unwrap());
        if found == wanted { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
    })
    .await;
}

/// Claims in a transaction of its own, and returns the ids that were new.
async fn claim(store: &impl InboxStore, consumer: &'static str, ids: &[Uuid]) -> Vec<Uuid> {
    let mut tx = store.begin().await.unwrap();
    let mut fresh = store.claim(&mut tx, consumer, ids).await.unwrap();
    store.commit(tx).await.unwrap();
    fresh.sort();
    fresh
}
