//! On real PostgreSQL and NATS: what the in-memory set can't vouch for.

mod broker;
mod bucket;
mod bucket_follower;
mod consumer;
mod dump;
#[cfg(target_os = "linux")]
mod full_disk;
mod loss;
mod parked;
mod relay;
mod retention;
mod roles;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flotilla_clock::Ids;
use flotilla_messaging::{
    Claim, ConsumerSpec, Event, Handler, HandlerError, Messaging, NatsSettings, Outbox, Outcome, ParkedSettings,
    RelaySettings, StreamSpec, frame, migrations,
};
use flotilla_postgres::{Pool, PostgresSettings, Tx};
use flotilla_testkit::{Database, eventually, stack};
use prometheus::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fixtures::{COMMAND, KIND, REPLY, event, text};

pub use flotilla_testkit::TIMEOUT;
pub const ORDERS: StreamSpec = StreamSpec { name: "ORDERS", subjects: &["flotilla.orders.events"] };
pub const PAYMENTS: StreamSpec = StreamSpec { name: "PAYMENTS", subjects: &["flotilla.payments.events"] };
pub const CONSUMER: ConsumerSpec = ConsumerSpec {
    name: "payments-orders",
    stream: "ORDERS",
    subjects: &["flotilla.orders.events"],
    events: &[],
    max_events: 64,
};

/// What a crash of the database does to moves of the cursor that it acknowledged before they were on disk.
pub const FORGET: &str =
    "UPDATE relay_cursor SET generation = NULL, xid = NULL, id = NULL, stream_created = NULL, stream_sequence = NULL";

pub async fn database(service: &'static str) -> Database {
    prepare(stack().await.database(service, vec![("messaging_history", migrations())]).await).await
}

/// Adds the handler's own table, and a function that fails as told.
pub async fn prepare(database: Database) -> Database {
    let service = database.service;
    database.query("CREATE TABLE applied (id uuid NOT NULL, kind text NOT NULL)", &[]).await;
    database.query(&format!("GRANT SELECT, INSERT ON applied TO {service}_system"), &[]).await;
    let body = "BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = state; END";
    let create = format!("CREATE FUNCTION fail(state text) RETURNS void LANGUAGE plpgsql AS $body$ {body} $body$");
    database.query(&create, &[]).await;
    database
}

pub fn settings(nats_url: &str) -> NatsSettings {
    NatsSettings {
        url: nats_url.to_owned(),
        relay: RelaySettings {
            lease: Duration::from_secs(4).into(),
            check: Duration::from_millis(500).into(),
            checkpoint: Duration::ZERO.into(),
            ..RelaySettings::default()
        },
        parked: ParkedSettings {
            poll: Duration::from_millis(50).into(),
            backoff: Duration::from_millis(50).into(),
            max_attempts: 4,
        },
        ..NatsSettings::default()
    }
}

/// One running replica of a service.
pub struct Node {
    pub outbox: Outbox,
    pub pool: Pool,
    pub ids: Ids,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Node {
    pub async fn start(
        database: &Database,
        stream: StreamSpec,
        settings: &NatsSettings,
        consumers: Vec<(ConsumerSpec, Arc<Recording>)>,
    ) -> Self {
        Self::on(database.service, &database.settings(), stream, settings, consumers).await
    }

    /// On any database.
    pub async fn on(
        service: &'static str,
        postgres: &PostgresSettings,
        stream: StreamSpec,
        settings: &NatsSettings,
        consumers: Vec<(ConsumerSpec, Arc<Recording>)>,
    ) -> Self {
        let registry = Registry::new();
        let pool = Pool::connect("system", &postgres.system_url, postgres, &registry).unwrap();
        let mut messaging = Messaging::new(service, stream, pool.clone(), settings, &registry).await.unwrap();
        for (spec, handler) in consumers {
            messaging.consume(spec, handler).unwrap();
        }
        let (outbox, ids) = (messaging.outbox(), messaging.ids());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(messaging.run(shutdown.clone()));
        Self { outbox, pool, ids, shutdown, task }
    }

    pub async fn commit(&self, events: &[Event]) {
        let tx = self.pool.begin().await.unwrap();
        self.outbox.append(&tx, events).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("drained in time").unwrap();
    }

    /// As a crash would: nothing is drained or given back.
    pub async fn kill(self) {
        self.task.abort();
        self.task.await.ok();
    }
}

/// Records what it applies in the table `applied`; obeys what an event's data says.
#[derive(Default)]
pub struct Recording {
    pub runs: AtomicUsize,
    /// How often `fail:<state>` is still obeyed.
    pub failures: AtomicUsize,
    pub claims: Claim,
}

#[async_trait]
impl Handler<Tx> for Recording {
    fn knows(&self, kind: &str) -> bool {
        kind == KIND || kind == COMMAND
    }

    fn claims(&self) -> Claim {
        self.claims
    }

    async fn handle(&self, tx: &mut Tx, events: &[Event]) -> Result<Vec<Outcome>, HandlerError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        // A poisonous event breaks the column's NOT NULL, as a wrong program would.
        let kinds: Vec<Option<&str>> =
            events.iter().map(|event| (text(event) != "poison").then_some(event.kind.as_str())).collect();
        for event in events {
            if let Some(state) = text(event).strip_prefix("fail:") {
                let left = self.failures.load(Ordering::SeqCst);
                if left > 0 {
                    self.failures.store(left - 1, Ordering::SeqCst);
                    tx.query("SELECT fail($1)", &[&state]).await?;
                }
            }
        }
        let insert = "INSERT INTO applied (id, kind) SELECT * FROM unnest($1::uuid[], $2::text[])";
        tx.execute(insert, &[&ids, &kinds]).await?;
        Ok(events.iter().map(outcome).collect())
    }
}

fn outcome(cause: &Event) -> Outcome {
    if cause.kind != COMMAND {
        return Outcome::Done(Vec::new());
    }
    let reply = event(&Ids::system(), REPLY, "done").caused_by(cause);
    Outcome::Done(vec![Event { subject: PAYMENTS.subjects[0].to_owned(), ..reply }])
}

pub async fn applied(database: &Database) -> Vec<Uuid> {
    database.query("SELECT id FROM applied ORDER BY id", &[]).await.iter().map(|row| row.get(0)).collect()
}

pub async fn eventually_applied(database: &Database, events: &[Event]) {
    let mut wanted: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    wanted.sort();
    eventually("applied", TIMEOUT, || async {
        let found = applied(database).await;
        if found == wanted { Ok(()) } else { Err(format!("{} rows of {}", found.len(), wanted.len())) }
    })
    .await;
}

/// The ids in a stream, repeats and all.
pub async fn streamed(nats_url: &str, stream: &str) -> Vec<Event> {
    let client = flotilla_testkit::nats_client(nats_url).await;
    let Ok(stream) = async_nats::jetstream::new(client).get_stream(stream).await else { return Vec::new() };
    let last = stream.cached_info().state.last_sequence;
    let mut found = Vec::new();
    for sequence in stream.cached_info().state.first_sequence.max(1)..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let events = frame::decode(&message.subject, &message.payload).unwrap();
        found.extend(events.into_iter().filter_map(Result::ok));
    }
    found
}

pub fn ids_of(events: &[Event]) -> Vec<Uuid> {
    events.iter().map(|event| event.id).collect()
}

/// Publishes a message past the relay that doesn't name its frames, as the release before does.
pub async fn inject(nats_url: &str, subject: &str, events: &[Event]) {
    let mut payload = Vec::new();
    for event in events {
        frame::encode(event, "/flotilla/orders", &[], &mut payload);
    }
    let client = flotilla_testkit::nats_client(nats_url).await;
    let jetstream = async_nats::jetstream::new(client);
    jetstream.publish(subject.to_owned(), payload.into()).await.unwrap().await.unwrap();
}
