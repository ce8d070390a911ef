//! Inventory: the catalogue, the stock, and what orders hold of it.
//!
//! Owns the tables `products`, `stock`, `stock_adjustments`, `reservations`, `imports` and `import_rejections`, and the
//! bucket `prices`, which is derived from the products. Consumes the commands `ReserveStock`,
//! `ReleaseStock` and `CommitStock` of orders; says `StockReserved`, `StockRejected`, `StockReleased`,
//! `ReservationExpired`, `ProductChanged` and `PriceChanged`. Guarantees: an order holds all of its lines or none,
//! nothing is oversold, an expired hold stays until it is released or committed, and a release that comes before its
//! reserve refuses it for ever.

pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod expiry;
pub mod grpc;
pub mod imports;
pub mod prices;
pub mod storage;

use std::sync::Arc;

use flotilla_messaging::{ConsumerSpec, Messaging, StreamSpec};
use flotilla_postgres::Pool;
use flotilla_proto::events::{consumers, streams};
use flotilla_proto::inventory::v1::catalog_service_server::CatalogServiceServer;
use flotilla_proto::inventory::v1::stock_service_server::StockServiceServer;
use flotilla_rpc::{AccessRules, Server};
use flotilla_service::{Chassis, Common, Migrations, PageKey, Running, Service};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

/// The service.
pub struct Inventory;

impl Service for Inventory {
    const NAME: &'static str = "inventory";
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
        let faults = chassis.faults();
        let system = Pool::connect("system", &settings.postgres.system_url, &settings.postgres, registry)?;
        let user = Pool::connect("user", &settings.postgres.user_url, &settings.postgres, registry)?;
        let (system, user) = (system.with_faults(&faults), user.with_faults(&faults));
        let messaging =
            Messaging::new(Self::NAME, StreamSpec::of(&streams::INVENTORY), system.clone(), &settings.nats, registry)
                .await?;
        let mut messaging = messaging.with_faults(&faults);
        let (outbox, ids, broker) = (messaging.outbox(), messaging.ids(), messaging.broker_probe());

        let commands = events::Commands::new(ids.clone(), settings.hold.time.get(), registry)?;
        let orders = ConsumerSpec::of(&consumers::INVENTORY_ORDERS, settings.hold.max_batch);
        messaging.consume(orders, Arc::new(commands))?;

        let board = Arc::new(prices::Board::new());
        let door = prices::Door::new(messaging.bucket(prices::BUCKET));
        let changes = ConsumerSpec::of(&consumers::INVENTORY_PRICES, prices::MAX_CHANGES);
        messaging.consume(changes, Arc::new(events::Prices::new(Arc::clone(&board), door.clone())))?;
        let expiry = expiry::ExpiryWorker::new(system.clone(), outbox.clone(), ids.clone(), &settings.hold);

        let lost_after = settings.imports.lost_after();
        let (desk, closer) =
            imports::Closer::new(storage::Imports::new(system.clone(), outbox.clone(), ids.clone(), lost_after));
        let catalogue = storage::Catalogue::new(system.clone(), user.clone(), outbox, ids);
        let keeper = prices::Keeper::new(Arc::clone(&board), door, catalogue.clone(), settings.prices.check.get());
        let page_key = PageKey::new(system.clone());
        let authenticator = chassis.authenticator(&settings.auth, &settings.client)?;
        let server = Server::new(&settings.grpc, Some(authenticator), AccessRules::declared(), registry)
            .add(CatalogServiceServer::new(grpc::CatalogApi::new(
                catalogue,
                page_key,
                board,
                grpc::ImportApi::new(desk, &settings.imports),
            )))
            .add(StockServiceServer::new(grpc::StockApi::new(storage::Shelves::new(system.clone()))));

        chassis.check_database("database", &system);
        chassis.check_database("database as user", &user);
        chassis.check_link("broker", move || broker.state());
        chassis.spawn("messaging", messaging.run(chassis.shutdown()));
        chassis.spawn("expiry", expiry.run(chassis.shutdown()));
        chassis.spawn("prices", keeper.run(chassis.shutdown()));
        chassis.spawn("imports", closer.run(chassis.shutdown()));
        chassis.start(server, settings.grpc.listen).await
    }

    fn migrations() -> Migrations {
        vec![
            ("messaging_history", flotilla_messaging::migrations()),
            ("service_history", flotilla_service::migrations()),
            ("schema_history", migrations::runner()),
        ]
    }
}

#[allow(missing_docs, reason = "generated")]
mod migrations {
    use flotilla_postgres::refinery;

    refinery::embed_migrations!("migrations");

    /// Inventory's own migrations.
    pub fn runner() -> refinery::Runner {
        migrations::runner()
    }
}
