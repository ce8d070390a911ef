//! On the in-memory set, in virtual time.

mod consumer;
mod faults;
mod frames;
mod in_hand;
mod loss;
mod parked;
mod read_ahead;
mod refusal;
mod relay;
mod simulation;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_clock::{Ids, Random};
use flotilla_messaging::broker::StreamConfig;
use flotilla_messaging::consumer::{Consumer, ConsumerParts};
use flotilla_messaging::frame;
use flotilla_messaging::metrics::Metrics;
use flotilla_messaging::parked::ParkedRetry;
use flotilla_messaging::relay::{Relay, RelayParts};
use flotilla_messaging::{
    Claim, ConsumerSpec, Event, Handler, HandlerError, Outcome, ParkedSettings, RelaySettings, StreamHealth,
};
use flotilla_postgres::ErrorKind;
use flotilla_testkit::memory::{MemoryBroker, MemoryClock, MemoryStore, MemoryTx, SeededRandom};
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fixtures::{COMMAND, KIND, REPLY, SUBJECT, event, text};

pub const STREAM: &str = "ORDERS";
pub const CONSUMER: ConsumerSpec =
    ConsumerSpec { name: "payments-orders", stream: STREAM, subjects: &[SUBJECT], events: &[], max_events: 16 };
pub const HORIZON: Duration = Duration::from_secs(600);
/// How long the relay remembers a consumer that is down.
pub const RETENTION: Duration = Duration::from_secs(300);

/// Two services on one broker: orders, which publishes, and payments, which consumes.
pub struct World {
    pub broker: MemoryBroker,
    pub orders: MemoryStore,
    pub payments: MemoryStore,
    pub ids: Ids,
    pub random: Arc<SeededRandom>,
    pub health: StreamHealth,
    pub metrics: Metrics,
    consuming: bool,
    tasks: JoinSet<()>,
    pub shutdown: CancellationToken,
}

impl World {
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let random = Arc::new(SeededRandom::new(seed));
        let ids = Ids::new(Arc::new(MemoryClock::new()), Arc::clone(&random) as Arc<dyn Random>);
        Self {
            broker: MemoryBroker::new(Duration::from_secs(15)),
            orders: MemoryStore::new("orders", ids.clone()),
            payments: MemoryStore::new("payments", ids.clone()),
            ids,
            random,
            health: StreamHealth::default(),
            metrics: Metrics::new("orders", &Registry::new()).unwrap(),
            consuming: false,
            tasks: JoinSet::new(),
            shutdown: CancellationToken::new(),
        }
    }

    pub fn commit(&self, events: &[Event]) {
        let mut tx = self.orders.transaction();
        tx.append(events);
        tx.commit().unwrap();
    }

    pub fn relay(&self, holder: &str) -> Relay<MemoryStore, MemoryBroker> {
        self.relay_with(holder, RelaySettings { checkpoint: Duration::ZERO.into(), ..RelaySettings::default() })
    }

    pub fn relay_with(&self, holder: &str, settings: RelaySettings) -> Relay<MemoryStore, MemoryBroker> {
        Relay::new(RelayParts {
            store: self.orders.clone(),
            broker: self.broker.clone(),
            stream: StreamConfig { name: STREAM, subjects: vec!["flotilla.orders.>".to_owned()] },
            holder: holder.to_owned(),
            pings: "pings".to_owned(),
            settings,
            publish_deadline: Duration::from_secs(2),
            waker: self.orders.waker(),
            random: Arc::clone(&self.random) as Arc<dyn Random>,
            retention: RETENTION,
            health: self.health.clone(),
            metrics: self.metrics.clone(),
        })
    }

    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub fn start_relay(&mut self) {
        let relay = self.relay("first");
        self.spawn(relay.run(self.shutdown.clone()));
    }

    pub fn consumer(&self, handler: Arc<dyn Handler<MemoryTx>>) -> Consumer<MemoryStore, MemoryBroker> {
        Consumer::new(ConsumerParts {
            spec: CONSUMER,
            store: self.payments.clone(),
            broker: self.broker.clone(),
            handler,
            ids: self.ids.clone(),
            prefetch: 8,
            ack_wait: Duration::from_secs(15),
            horizon: HORIZON,
            metrics: Metrics::new("payments", &Registry::new()).unwrap(),
        })
    }

    pub fn start_consumer(&mut self, handler: Arc<dyn Handler<MemoryTx>>) {
        let consumer = self.consumer(handler);
        self.spawn(consumer.run(self.shutdown.clone()));
        self.consuming = true;
    }

    pub fn start_retries(&mut self, handler: Arc<dyn Handler<MemoryTx>>) {
        let retry = ParkedRetry::new(
            self.payments.clone(),
            vec![(CONSUMER.name, handler)],
            ParkedSettings::default(),
            Arc::clone(&self.random) as Arc<dyn Random>,
            Metrics::new("payments", &Registry::new()).unwrap(),
        );
        self.spawn(retry.run(self.shutdown.clone()));
    }

    /// Stops all tasks and starts none.
    pub async fn stop(&mut self) {
        self.consuming = false;
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.shutdown = CancellationToken::new();
    }

    /// Kills all tasks where they stand, as a crash would.
    pub async fn crash(&mut self) {
        self.consuming = false;
        self.tasks.shutdown().await;
        self.shutdown = CancellationToken::new();
    }

    /// The ids in the stream, frame by frame, repeats and all.
    pub fn streamed(&self) -> Vec<Uuid> {
        let decode = |(_, subject, payload): (u64, String, bytes::Bytes)| frame::decode(&subject, &payload).unwrap();
        self.broker.messages(STREAM).into_iter().flat_map(decode).filter_map(Result::ok).map(|event| event.id).collect()
    }

    /// Waits, in virtual time, until all is published, delivered and acked.
    pub async fn quiet(&self) {
        eventually("quiet", || {
            let read = !self.consuming || self.broker.consumers(STREAM) > 0;
            read && self.orders.all_published() && self.broker.unacked(STREAM) == 0
        })
        .await;
    }

    /// How often the event was applied.
    pub fn applied(&self, event: &Event) -> i64 {
        self.payments.value(&format!("applied/{}", event.id))
    }

    pub fn assert_each_applied_once(&self, events: &[Event]) {
        for event in events {
            assert_eq!(self.applied(event), 1, "{} was applied another number of times", event.id);
        }
        let total: i64 = self.payments.values("applied/").values().sum();
        assert_eq!(total, events.len() as i64, "something else was applied");
    }
}

/// Waits up to ten virtual minutes.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten minutes: {what}");
}

/// Counts what it applies; replies to commands; obeys what an event's data says: `invalid`, `panic`, `miscount`,
/// `later`, `never`, `conflict`.
pub struct Counting;

#[async_trait]
impl Handler<MemoryTx> for Counting {
    fn knows(&self, kind: &str) -> bool {
        kind == KIND || kind == COMMAND
    }

    async fn prepare(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<(), HandlerError> {
        for event in events {
            tx.add(format!("prepared/{}", event.id), 1);
        }
        Ok(())
    }

    async fn handle(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        tokio::task::yield_now().await;
        let mut outcomes = Vec::new();
        for event in events {
            outcomes.push(match text(event) {
                "invalid" => return Err(HandlerError::Invalid("planted".to_owned())),
                "panic" => panic!("planted"),
                "miscount" => continue,
                "later" if tx.value("later allowed") == 0 => Outcome::RetryLater("not yet".to_owned()),
                "never" => Outcome::DeadLetter("never".to_owned()),
                _ => apply(tx, event),
            });
        }
        Ok(outcomes)
    }
}

fn apply(tx: &mut MemoryTx, cause: &Event) -> Outcome {
    tx.add(format!("applied/{}", cause.id), 1);
    if cause.kind != COMMAND {
        return Outcome::Done(Vec::new());
    }
    let ids = Ids::system();
    Outcome::Done(vec![event(&ids, REPLY, "done").caused_by(cause), event(&ids, KIND, "more")])
}

/// Idempotent by a key, here the event's id: applies an event once however often it is handed over, and answers each
/// time. Obeys as [`Counting`] does.
pub struct Keyed;

#[async_trait]
impl Handler<MemoryTx> for Keyed {
    fn knows(&self, kind: &str) -> bool {
        Counting.knows(kind)
    }

    async fn handle(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let fresh: Vec<Event> =
            events.iter().filter(|event| tx.value(&format!("applied/{}", event.id)) == 0).cloned().collect();
        let mut outcomes = Counting.handle(tx, &fresh).await?.into_iter();
        let handed = |event: &Event| format!("handed over/{}", event.id);
        events.iter().for_each(|event| tx.add(handed(event), 1));
        let outcome = |event: &Event| match fresh.iter().any(|fresh| fresh.id == event.id) {
            true => outcomes.next(),
            false => Some(Outcome::Done(Vec::new())),
        };
        Ok(events.iter().filter_map(outcome).collect())
    }
}

/// A handler that claims frames.
pub struct OfFrames<H>(pub H);

#[async_trait]
impl<H: Handler<MemoryTx>> Handler<MemoryTx> for OfFrames<H> {
    fn knows(&self, kind: &str) -> bool {
        self.0.knows(kind)
    }

    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn prepare(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<(), HandlerError> {
        self.0.prepare(tx, events).await
    }

    async fn handle(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        self.0.handle(tx, events).await
    }
}

/// Fails with the given kinds before it lets [`Counting`] work.
pub struct Failing(pub parking_lot::Mutex<Vec<ErrorKind>>);

#[async_trait]
impl Handler<MemoryTx> for Failing {
    fn knows(&self, kind: &str) -> bool {
        Counting.knows(kind)
    }

    async fn handle(&self, tx: &mut MemoryTx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        // Bound first: the lock must not be held while the other handler works.
        let failure = self.0.lock().pop();
        match failure {
            Some(kind) => Err(HandlerError::Store(flotilla_postgres::Error::new(kind, "planted"))),
            None => Counting.handle(tx, events).await,
        }
    }
}
