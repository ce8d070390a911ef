//! Inventory: the catalogue, the stock, and the reservations of orders.
//!
//! Owns the tables `products`, `stock`, `stock_adjustments`, `reservations`, `imports` and `import_rejections`, and the
//! bucket `prices`, which is derived from the products. Consumes the commands `ReserveStock`, `ReleaseStock` and
//! `CommitStock` of orders, and its own `ProductChanged`, by which it fills the bucket and invalidates products in the
//! gateway's cache; publishes `StockReserved`, `StockRejected`, `StockReleased`, `ReservationExpired`,
//! `ProductChanged` and `PriceChanged`. Guarantees: an order reserves all of its lines or none; nothing is oversold; an
//! expired reservation is kept until it is released or committed; a reserve that arrives after its release is refused.

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

use flotilla_cache::{InvalidationSettings, Invalidator};
use flotilla_proto::caches;
use flotilla_proto::events::{consumers, streams};
use flotilla_proto::inventory::v1::catalog_service_server::CatalogServiceServer;
use flotilla_proto::inventory::v1::stock_service_server::StockServiceServer;
use flotilla_service::{Common, Infrastructure, Migrations, PageKey, Running, Service, migrations_with};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

/// The service.
pub struct Inventory;

impl Service for Inventory {
    const NAME: &'static str = "inventory";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        settings.common.common().calling(&settings.calls)
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut base = Infrastructure::connect(&streams::INVENTORY, &settings.common, telemetry).await?;
        let (outbox, ids) = (base.outbox(), base.ids());
        let (system, user) = (base.system.clone(), base.user.clone());

        let commands = events::Commands::new(ids.clone(), settings.hold.time.get(), base.registry())?;
        base.consume(&consumers::INVENTORY_ORDERS, settings.hold.max_batch, commands)?;

        let log = Arc::new(prices::PriceLog::new());
        let open_bucket = prices::OpenBucketSlot::new();
        let changes = events::Prices::new(Arc::clone(&log), open_bucket.clone());
        base.consume(&consumers::INVENTORY_PRICES, prices::MAX_CHANGES, changes)?;
        cache(&mut base, &settings.cache)?;
        let expiry = expiry::ExpiryWorker::new(system.clone(), outbox.clone(), ids.clone(), &settings.hold);

        let lost_after = settings.imports.lost_after();
        let (imports, broken) = imports::BrokenImportWorker::new(storage::Imports::new(
            system.clone(),
            outbox.clone(),
            ids.clone(),
            lost_after,
        ));
        let catalogue = storage::Catalogue::new(system.clone(), user.clone(), outbox, ids);
        let follower = prices::PriceFollower::new(
            base.messaging().bucket(prices::BUCKET),
            Arc::clone(&log),
            open_bucket,
            catalogue.clone(),
            settings.prices.check.get(),
            base.ids().random(),
        );
        let page_key = PageKey::new(system.clone());
        let server = base
            .server(&settings.calls)?
            .add(CatalogServiceServer::new(grpc::CatalogApi::new(
                catalogue,
                page_key,
                log,
                grpc::ImportApi::new(imports, &settings.imports),
            )))
            .add(StockServiceServer::new(grpc::StockApi::new(storage::StockStore::new(system.clone()))));

        let shutdown = base.chassis.shutdown();
        base.chassis.spawn("expiry", expiry.run(shutdown.clone()));
        base.chassis.spawn("prices", follower.run(shutdown.clone()));
        base.chassis.spawn("imports", broken.run(shutdown));
        base.start(server).await
    }

    fn migrations() -> Migrations {
        migrations_with(migrations::runner())
    }
}

/// Invalidates changed products in the gateway's cache.
fn cache(base: &mut Infrastructure, settings: &InvalidationSettings) -> anyhow::Result<()> {
    let invalidator = Invalidator::connect(caches::PRODUCTS, settings, &*base.ids().random());
    if let Some(invalidator) = invalidator.clone() {
        let probed = invalidator.clone();
        let state = move || if probed.is_up() { Ok(()) } else { Err("not connected".to_owned()) };
        base.chassis.check_link("redis", state);
        base.chassis.on_drain(async move { invalidator.close().await });
    }
    base.consume(&consumers::INVENTORY_CACHE, events::MAX_INVALIDATIONS, events::CachedProducts::new(invalidator))
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
