//! Inventory: the catalogue, the stock, and what orders hold of it.
//!
//! Owns the tables `products`, `stock`, `stock_adjustments` and `reservations`. Consumes the commands `ReserveStock`,
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
pub mod storage;

use std::sync::Arc;

use flotilla_messaging::Messaging;
use flotilla_postgres::Pool;
use flotilla_proto::inventory::v1::catalog_service_server::CatalogServiceServer;
use flotilla_proto::inventory::v1::stock_service_server::StockServiceServer;
use flotilla_rpc::{Authenticator, ClientSettings, RemoteKeys, Server};
use flotilla_service::{Chassis, Common, PageKey, Running, Service};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

/// The service.
pub struct Inventory;

impl Service for Inventory {
    const NAME: &'static str = "inventory";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        Common { service: &settings.service, telemetry: &settings.telemetry }
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let registry = telemetry.registry();
        let system = Pool::connect("system", &settings.postgres.system_url, &settings.postgres, registry)?;
        let user = Pool::connect("user", &settings.postgres.user_url, &settings.postgres, registry)?;
        let mut messaging =
            Messaging::new(Self::NAME, events::STREAM, system.clone(), &settings.nats, registry).await?;
        let (outbox, ids, broker) = (messaging.outbox(), messaging.ids(), messaging.broker_probe());

        let commands = events::Commands::new(ids.clone(), settings.hold.time.get(), registry)?;
        messaging.consume(events::commands_of_orders(settings.hold.max_batch), Arc::new(commands));
        let expiry = expiry::ExpiryWorker::new(system.clone(), outbox.clone(), ids.clone(), &settings.hold);

        let catalogue = storage::Catalogue::new(system.clone(), user.clone(), outbox, ids);
        let page_key = PageKey::new(system.clone());
        let keys = RemoteKeys::connect(&settings.auth.identity_url, &ClientSettings::default())?;
        let authenticator = Authenticator::new(&settings.auth, Arc::new(keys));
        let server = Server::new(&settings.grpc, Some(authenticator), grpc::access(), registry)
            .add(CatalogServiceServer::new(grpc::CatalogApi::new(catalogue, page_key)))
            .add(StockServiceServer::new(grpc::StockApi::new(storage::Shelves::new(system.clone()))));

        let mut chassis = Chassis::new(Self::NAME, &settings.service, registry);
        chassis.check_database("database", &system);
        chassis.check_database("database as user", &user);
        chassis.check_link("broker", move || broker.is_up());
        chassis.spawn("messaging", messaging.run(chassis.shutdown()));
        chassis.spawn("expiry", expiry.run(chassis.shutdown()));
        chassis.start(server, settings.grpc.listen).await
    }

    async fn migrate(settings: &Settings) -> anyhow::Result<()> {
        let sets = vec![
            ("messaging_history", flotilla_messaging::migrations()),
            ("service_history", flotilla_service::migrations()),
            ("schema_history", migrations::runner()),
        ];
        flotilla_postgres::migrate(&settings.postgres.owner_url, sets).await?;
        Ok(())
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
