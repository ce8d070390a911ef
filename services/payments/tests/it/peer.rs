//! The other services as payments meets them: an outbox that feeds a stream, and a consumer of payments' stream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use flotilla_clock::Ids;
use flotilla_messaging::{
    Claim, ConsumerSpec, Event, Handler, HandlerError, Messaging, NatsSettings, Outbox, Outcome, StreamSpec, migrations,
};
use flotilla_postgres::{Pool, Tx};
use flotilla_proto::events::consumers;
use flotilla_telemetry::Registry;
use flotilla_testkit::{Database, TIMEOUT, eventually, stack};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Another service: its messaging without anything behind it.
pub struct Peer {
    pub database: Database,
    pub ids: Ids,
    pool: Pool,
    outbox: Outbox,
    received: Received,
    _running: DropGuard,
}

/// Replies by the message that caused them.
type Received = Arc<Mutex<HashMap<Uuid, Event>>>;

impl Peer {
    /// The service `name` with its stream, consuming what payments publishes as the durable consumer `consumer`.
    pub async fn start(name: &'static str, stream: StreamSpec, consumer: &'static str, nats: &str) -> Self {
        let database = stack().await.database(name, vec![("messaging_history", migrations())]).await;
        let settings = database.settings();
        let registry = Registry::new();
        let pool = Pool::connect("system", &settings.system_url, &settings, &registry).unwrap();
        let nats = NatsSettings { url: nats.to_owned(), ..NatsSettings::default() };
        let mut messaging = Messaging::new(name, stream, pool.clone(), &nats, &registry).await.unwrap();
        let received = Received::default();
        let spec =
            ConsumerSpec { name: consumer, events: &[], ..ConsumerSpec::of(&consumers::NOTIFICATION_PAYMENTS, 256) };
        messaging.consume(spec, Arc::new(Recorder(Arc::clone(&received)))).unwrap();
        let (ids, outbox) = (messaging.ids(), messaging.outbox());
        let shutdown = CancellationToken::new();
        tokio::spawn(messaging.run(shutdown.clone()));
        Self { database, ids, pool, outbox, received, _running: shutdown.drop_guard() }
    }

    /// Sends messages in one transaction.
    pub async fn send(&self, events: &[Event]) {
        let tx = self.pool.begin().await.unwrap();
        self.outbox.append(&tx, events).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The reply to a message, once it is there.
    pub async fn reply(&self, to: &Event) -> Event {
        let what = format!("reply to {}", to.kind);
        eventually(&what, TIMEOUT, || async { self.replied(to) }).await
    }

    /// The reply to a message, if it is there.
    pub fn replied(&self, to: &Event) -> Option<Event> {
        self.received.lock().unwrap().get(&to.id).cloned()
    }

    /// The events that no message caused, such as top-ups.
    pub fn uncaused(&self) -> Vec<Event> {
        self.received.lock().unwrap().values().filter(|event| event.causation_id.is_none()).cloned().collect()
    }
}

struct Recorder(Received);

#[async_trait]
impl Handler<Tx> for Recorder {
    fn knows(&self, _: &str) -> bool {
        true
    }

    /// A repeated reply is recorded again, by the command that it names.
    fn claims(&self) -> Claim {
        Claim::Frame
    }

    async fn handle(&self, _: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        let mut received = self.0.lock().unwrap();
        for event in events {
            received.insert(event.causation_id.unwrap_or(event.id), event.clone());
        }
        Ok(events.iter().map(|_| Outcome::Done(Vec::new())).collect())
    }
}
