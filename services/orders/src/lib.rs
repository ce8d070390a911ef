//! Orders: accepts them, prices them and carries each through its saga to exactly one end.
//!
//! Owns the tables `orders`, `order_lines`, `sagas`, `saga_journal` and `catalogue`; writes the
//! stream `ORDERS` (commands to inventory and payments, events of orders). Guarantees: one order a request id; what was
//! accepted reaches one end whatever dies; a cancelled or rejected order holds no stock and no money.

pub mod catalogue;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod grpc;
pub mod metrics;
pub mod placing;
pub mod saga;
pub mod storage;
pub mod switches;
pub mod watches;

use std::sync::Arc;

use anyhow::Context as _;
use flotilla_clock::Ids;
use flotilla_fault::Faults;
use flotilla_messaging::{ConsumerSpec, Messaging, StreamSpec};
use flotilla_postgres::{GroupCommit, Pool};
use flotilla_proto::events::streams;
use flotilla_proto::orders::v1::order_service_server::OrderServiceServer;
use flotilla_rpc::{AccessRules, ChannelBuilder, ClientMetrics, RateLimiter, Server};
use flotilla_service::{Chassis, Common, Migrations, PageKey, Running, Service, Severity};
use flotilla_telemetry::Telemetry;
use futures::FutureExt as _;
use prometheus::Registry;

pub use config::Settings;

use crate::{
    catalogue::Catalogue,
    events::{Products, Replies},
    grpc::OrderApi,
    metrics::Metrics,
    placing::Placing,
    saga::{Canceller, Worker},
    storage::orders::Reader,
    switches::Switches,
    watches::Watches,
};

/// The service.
pub struct Orders;

impl Service for Orders {
    const NAME: &'static str = "orders";

    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        Common {
            service: &settings.service,
            telemetry: &settings.telemetry,
            remote: &settings.remote,
            postgres: Some(&settings.postgres),
        }
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let registry = telemetry.registry();
        let mut chassis = Chassis::new(Self::NAME, &settings.service, registry);
        let parts = Parts::connect(&settings, registry, &chassis.faults()).await?;
        let switches = Switches::new(chassis.flags(&settings.flags, &settings.remote).await?);
        let api = parts.api(&mut chassis, &settings, switches);
        parts.run(&mut chassis, &settings)?;
        let authenticator = chassis.authenticator(&settings.auth, &settings.client)?;
        let server = Server::new(&settings.grpc, Some(authenticator), AccessRules::declared(), registry)
            .add(OrderServiceServer::new(api).max_decoding_message_size(settings.grpc.max_message_bytes));
        chassis.start(server, settings.grpc.listen).await
    }

    fn migrations() -> Migrations {
        vec![
            ("messaging_history", flotilla_messaging::migrations()),
            ("service_history", flotilla_service::migrations()),
            ("schema_history", storage::migrations()),
        ]
    }
}

/// What the service is put together from.
struct Parts {
    system: Pool,
    user: Pool,
    messaging: Messaging,
    reader: Reader,
    ids: Ids,
    catalogue: Arc<Catalogue>,
    watches: Watches,
    metrics: Metrics,
}

impl Parts {
    async fn connect(settings: &Settings, registry: &Registry, faults: &Faults) -> anyhow::Result<Self> {
        let postgres = &settings.postgres;
        let system = Pool::connect("system", &postgres.system_url, postgres, registry)?.with_faults(faults);
        let user = Pool::connect("user", &postgres.user_url, postgres, registry)?.with_faults(faults);
        let messaging =
            Messaging::new(Orders::NAME, StreamSpec::of(&streams::ORDERS), system.clone(), &settings.nats, registry)
                .await?;
        let messaging = messaging.with_faults(faults);
        let inventory = ChannelBuilder::new(&settings.client)
            .metrics(&ClientMetrics::register(registry))
            .connect(&settings.catalogue.inventory_url)
            .context("catalogue.inventory_url")?;
        let catalogue = Catalogue::new(
            system.clone(),
            inventory,
            settings.catalogue.lookups,
            settings.catalogue.lookup_timeout.get(),
        );
        Ok(Self {
            reader: Reader::new(system.clone(), user.clone()),
            system,
            user,
            ids: messaging.ids(),
            messaging,
            catalogue: Arc::new(catalogue),
            watches: Watches::new(settings.watch.streams_each),
            metrics: Metrics::register(registry)?,
        })
    }

    /// The gRPC service, with the writers behind it.
    fn api(&self, chassis: &mut Chassis, settings: &Settings, switches: Switches) -> OrderApi {
        let (pool, ids, outbox) = (self.system.clone(), self.ids.clone(), self.messaging.outbox());
        let placing = Placing { pool: pool.clone(), outbox: outbox.clone(), ids: ids.clone() };
        let apply = move |placements| {
            let placing = placing.clone();
            async move { placing.accept(placements).await }.boxed()
        };
        let (queue, driver) = GroupCommit::new(settings.placing.group_commit(), apply);
        chassis.spawn("placing", driver.run(chassis.shutdown()));
        OrderApi {
            reader: self.reader.clone(),
            catalogue: Arc::clone(&self.catalogue),
            placing: queue,
            customers: RateLimiter::new(settings.placing.customers_rate(), settings.grpc.rate_limit.keys),
            canceller: Canceller { pool, outbox, ids, watches: self.watches.clone() },
            watches: self.watches.clone(),
            page_key: PageKey::new(self.system.clone()),
            switches,
            metrics: self.metrics.clone(),
        }
    }

    /// Checks and background tasks.
    fn run(mut self, chassis: &mut Chassis, settings: &Settings) -> anyhow::Result<()> {
        self.check(chassis);
        let saga = &settings.saga;
        let worker = Worker {
            pool: self.system.clone(),
            outbox: self.messaging.outbox(),
            ids: self.ids.clone(),
            watches: self.watches.clone(),
            metrics: self.metrics.clone(),
            settings: saga.clone(),
        };
        chassis.spawn("saga", worker.run(chassis.shutdown()));
        let (catalogue, poll, shutdown) =
            (Arc::clone(&self.catalogue), settings.catalogue.poll.clone(), chassis.shutdown());
        chassis.spawn("catalogue", async move { catalogue.follow(poll, shutdown).await });
        let watches = self.watches.clone().follow(self.reader.clone(), settings.watch.poll.clone(), chassis.shutdown());
        chassis.spawn("watches", watches);
        self.consume(saga.max_events)?;
        chassis.spawn("messaging", self.messaging.run(chassis.shutdown()));
        Ok(())
    }

    fn consume(&mut self, max_events: usize) -> anyhow::Result<()> {
        for registry in [events::inventory(), events::payments()] {
            let spec = ConsumerSpec::of(registry.consumer(), max_events);
            let handler = Replies {
                registry,
                ids: self.ids.clone(),
                watches: self.watches.clone(),
                metrics: self.metrics.clone(),
            };
            self.messaging.consume(spec, Arc::new(handler))?;
        }
        let registry = events::catalogue();
        let spec = ConsumerSpec::of(registry.consumer(), max_events);
        self.messaging.consume(spec, Arc::new(Products { registry, catalogue: Arc::clone(&self.catalogue) }))?;
        Ok(())
    }

    fn check(&self, chassis: &mut Chassis) {
        chassis.check_database("database", &self.system);
        chassis.check_database("database as user", &self.user);
        let catalogue = Arc::clone(&self.catalogue);
        chassis.check("catalogue", Severity::Required, move || {
            let loaded = catalogue.is_loaded();
            async move { loaded.then_some(()).ok_or_else(|| "not loaded yet".to_owned()) }.boxed()
        });
        let broker = self.messaging.broker_probe();
        chassis.check_link("broker", move || broker.state());
    }
}
