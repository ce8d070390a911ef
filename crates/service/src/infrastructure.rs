//! The infrastructure of every service with a database and a stream: two pools, messaging, checks and faults, wired in
//! the same way.

use std::net::SocketAddr;
use std::sync::Arc;

use flotilla_auth::Authenticator;
use flotilla_clock::Ids;
use flotilla_messaging::{ConsumerSpec, Handler, Messaging, Outbox, StreamSpec};
use flotilla_postgres::refinery::Runner;
use flotilla_postgres::{Pool, Tx};
use flotilla_proto::events::{Consumer, Stream};
use flotilla_rpc::{AccessRules, Server, ServerSettings};
use flotilla_telemetry::Telemetry;
use prometheus::Registry;

use crate::{CallSettings, Chassis, CommonSettings, Migrations, Running};

/// Builds a service with a database and a stream.
pub struct Infrastructure {
    /// The chassis, for the service's own tasks and checks.
    pub chassis: Chassis,
    /// The database, accessed as the service itself: batches, relay, saga.
    pub system: Pool,
    /// The database, accessed on behalf of a caller under row-level security.
    pub user: Pool,
    messaging: Messaging,
    registry: Registry,
    server: ServerSettings,
}

impl Infrastructure {
    /// Connects the service that writes `stream`. Database and broker need not be running yet.
    ///
    /// # Errors
    /// An invalid address, or metrics that are already registered.
    pub async fn connect(stream: &Stream, settings: &CommonSettings, telemetry: &Telemetry) -> anyhow::Result<Self> {
        let (registry, postgres) = (telemetry.registry().clone(), &settings.postgres);
        let chassis = Chassis::new(stream.service, &settings.process.service, &registry);
        let faults = chassis.faults();
        let system = Pool::connect("system", &postgres.system_url, postgres, &registry)?.with_faults(&faults);
        let user = Pool::connect("user", &postgres.user_url, postgres, &registry)?.with_faults(&faults);
        let messaging =
            Messaging::new(stream.service, StreamSpec::of(stream), system.clone(), &settings.nats, &registry).await?;
        let messaging = messaging.with_faults(&faults);
        Ok(Self { chassis, system, user, messaging, registry, server: settings.process.grpc.clone() })
    }

    /// The registry of the metrics.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Messaging, for example for buckets.
    #[must_use]
    pub fn messaging(&self) -> &Messaging {
        &self.messaging
    }

    /// Ids and time.
    #[must_use]
    pub fn ids(&self) -> Ids {
        self.messaging.ids()
    }

    /// The outbox, for transactions that publish.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.messaging.outbox()
    }

    /// Adds a durable consumer with up to `max_events` in one transaction.
    ///
    /// # Errors
    /// The handler lacks a message that is published on the consumer's subjects.
    pub fn consume(&mut self, consumer: &Consumer, max_events: usize, handler: impl Handler<Tx>) -> anyhow::Result<()> {
        Ok(self.messaging.consume(ConsumerSpec::of(consumer, max_events), Arc::new(handler))?)
    }

    /// The gRPC server, for callers with tokens of identity.
    ///
    /// # Errors
    /// Identity's address is invalid.
    pub fn server(&mut self, calls: &CallSettings) -> anyhow::Result<Server> {
        let authenticator = self.chassis.authenticator(&calls.auth, &calls.client)?;
        Ok(self.server_with(authenticator))
    }

    /// The gRPC server, with callers verified by `authenticator`. The access rules come from the contracts.
    #[must_use]
    pub fn server_with(&self, authenticator: Authenticator) -> Server {
        Server::new(&self.server, Some(authenticator), AccessRules::declared(), &self.registry)
    }

    /// Adds the checks of databases and broker, and starts everything.
    ///
    /// # Errors
    /// An address can't be bound, or a pool's role isn't allowed for it.
    pub async fn start(self, server: Server) -> anyhow::Result<Running> {
        let Self { mut chassis, system, user, messaging, server: settings, .. } = self;
        chassis.check_database("database", &system);
        chassis.check_database("database as user", &user);
        let broker = messaging.broker_probe();
        chassis.check_link("broker", move || broker.state());
        chassis.spawn("messaging", messaging.run(chassis.shutdown()));
        let listen: SocketAddr = settings.listen;
        chassis.start(server, listen).await
    }
}

/// All migrations of a service with a database and a stream, in their order, each set with the name of its history
/// table.
#[must_use]
pub fn migrations_with(own: Runner) -> Migrations {
    vec![
        ("messaging_history", flotilla_messaging::migrations()),
        ("service_history", crate::migrations()),
        ("schema_history", own),
    ]
}
