//! Orders: accepts and prices orders and takes each through its saga to exactly one final state.
//!
//! Owns the tables `orders` (with their lines), `sagas` (with their journals) and `catalogue`; publishes to the stream `ORDERS`
//! (commands to inventory and payments, order events). Guarantees: one order per request id; every accepted order
//! reaches exactly one final state, whichever process or server fails; a cancelled or rejected order holds no stock and
//! no money.

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
use flotilla_postgres::GroupCommit;
use flotilla_proto::events::streams;
use flotilla_proto::orders::v1::order_service_server::OrderServiceServer;
use flotilla_rpc::{ChannelBuilder, ClientMetrics, RateLimiter};
use flotilla_service::{Common, Infrastructure, Migrations, PageKey, Running, Service, Severity, migrations_with};
use flotilla_telemetry::Telemetry;
use futures::FutureExt as _;

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
        settings.common.common().calling(&settings.calls)
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut base = Infrastructure::connect(&streams::ORDERS, &settings.common, telemetry).await?;
        let parts = Parts::new(&settings, &base)?;
        let switches = Switches::new(base.chassis.flags(&settings.flags, &settings.common.process.remote).await?);
        let api = parts.api(&mut base, &settings, switches);
        parts.consume(&mut base, settings.saga.max_events)?;
        parts.run(&mut base, &settings);
        let api =
            OrderServiceServer::new(api).max_decoding_message_size(settings.common.process.grpc.max_message_bytes);
        let server = base.server(&settings.calls)?.add(api);
        base.start(server).await
    }

    fn migrations() -> Migrations {
        migrations_with(storage::migrations())
    }
}

/// The parts that the API, the saga and the consumers share.
struct Parts {
    reader: Reader,
    catalogue: Arc<Catalogue>,
    watches: Watches,
    metrics: Metrics,
}

impl Parts {
    fn new(settings: &Settings, base: &Infrastructure) -> anyhow::Result<Self> {
        let inventory = ChannelBuilder::new(&settings.calls.client)
            .metrics(&ClientMetrics::register(base.registry()))
            .connect(&settings.catalogue.inventory_url)
            .context("catalogue.inventory_url")?;
        let catalogue = Catalogue::new(
            base.system.clone(),
            inventory,
            settings.catalogue.lookups,
            settings.catalogue.lookup_timeout.get(),
        );
        Ok(Self {
            reader: Reader::new(base.system.clone(), base.user.clone()),
            catalogue: Arc::new(catalogue),
            watches: Watches::new(settings.watch.streams_each),
            metrics: Metrics::register(base.registry())?,
        })
    }

    /// The gRPC service and the group commit's writers behind it.
    fn api(&self, base: &mut Infrastructure, settings: &Settings, switches: Switches) -> OrderApi {
        let (pool, ids, outbox) = (base.system.clone(), base.ids(), base.outbox());
        let placing = Placing { pool: pool.clone(), outbox: outbox.clone(), ids: ids.clone() };
        let apply = move |placements| {
            let placing = placing.clone();
            async move { placing.accept(placements).await }.boxed()
        };
        let (queue, driver) = GroupCommit::new(settings.placing.group_commit(), apply);
        let shutdown = base.chassis.shutdown();
        base.chassis.spawn("placing", driver.run(shutdown));
        OrderApi {
            reader: self.reader.clone(),
            catalogue: Arc::clone(&self.catalogue),
            placing: queue,
            max_lines: settings.placing.max_lines.clone(),
            customers: RateLimiter::new(
                settings.placing.customers_rate(),
                settings.common.process.grpc.rate_limit.keys,
            ),
            canceller: Canceller { pool, outbox, ids, watches: self.watches.clone() },
            watches: self.watches.clone(),
            page_key: PageKey::new(base.system.clone()),
            switches,
            metrics: self.metrics.clone(),
        }
    }

    fn consume(&self, base: &mut Infrastructure, max_events: usize) -> anyhow::Result<()> {
        for registry in [events::inventory(), events::payments()] {
            let handler =
                Replies { registry, ids: base.ids(), watches: self.watches.clone(), metrics: self.metrics.clone() };
            base.consume(handler.registry.consumer(), max_events, handler)?;
        }
        let products = Products { registry: events::catalogue(), catalogue: Arc::clone(&self.catalogue) };
        base.consume(products.registry.consumer(), max_events, products)
    }

    /// Background tasks, and the readiness check of the state that they maintain.
    fn run(self, base: &mut Infrastructure, settings: &Settings) {
        let worker = Worker {
            pool: base.system.clone(),
            outbox: base.outbox(),
            ids: base.ids(),
            watches: self.watches.clone(),
            metrics: self.metrics,
            settings: settings.saga.clone(),
        };
        let chassis = &mut base.chassis;
        let shutdown = chassis.shutdown();
        chassis.spawn("saga", worker.run(shutdown.clone()));
        let (catalogue, poll, stop) = (Arc::clone(&self.catalogue), settings.catalogue.poll.clone(), shutdown.clone());
        chassis.spawn("catalogue", async move { catalogue.follow(poll, stop).await });
        chassis.spawn("watches", self.watches.follow(self.reader, settings.watch.poll.clone(), shutdown));
        let catalogue = self.catalogue;
        chassis.check("catalogue", Severity::Required, move || {
            let loaded = catalogue.is_loaded();
            async move { loaded.then_some(()).ok_or_else(|| "not loaded yet".to_owned()) }.boxed()
        });
    }
}
