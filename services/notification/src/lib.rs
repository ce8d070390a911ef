//! Notification: notices to customers, each recorded once and delivered in order.
//!
//! Owns the tables `deliveries`, `shown`, `preferences` and `order_notices`. Consumes the events from orders,
//! payments and identity; publishes `DeliveryRecorded` once a consumer of it is declared. Guarantees: each final state of
//! an order, each payment and each welcome is recorded exactly once; each customer's deliveries are numbered from 1 without
//! a gap and become visible in that order, so that a live feed resumed from any token misses none.

pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod feed;
pub mod grpc;
pub mod storage;

use flotilla_proto::events::{is_consumed, streams};
use flotilla_proto::notification::v1::DeliveryRecorded;
use flotilla_proto::notification::v1::notification_service_server::NotificationServiceServer;
use flotilla_service::{Common, Infrastructure, Migrations, PageKey, Running, Service, migrations_with};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

/// The service.
pub struct Notification;

impl Service for Notification {
    const NAME: &'static str = "notification";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        settings.common.common().calling(&settings.calls)
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut base = Infrastructure::connect(&streams::NOTIFICATION, &settings.common, telemetry).await?;
        let ids = base.ids();
        let (system, user) = (base.system.clone(), base.user.clone());

        let single =
            events::SingleNotice::new(base.chassis.flags(&settings.flags, &settings.common.process.remote).await?);
        let hub = feed::Hub::new(settings.feed.listeners_each);
        let publishes = is_consumed::<DeliveryRecorded>();
        for recorder in events::Recorder::of_each_consumer(&ids, &hub, &single, publishes, base.registry())? {
            base.consume(recorder.consumer(), settings.feed.max_batch, recorder)?;
        }

        let feeds = storage::Feeds::new(system.clone(), user.clone());
        let page_key = PageKey::new(system.clone());
        let api = grpc::NotificationApi::new(
            feeds.clone(),
            storage::PreferenceStore::new(system.clone(), user.clone()),
            page_key,
            hub.clone(),
            settings.feed.page,
            ids,
        );
        let server = base.server(&settings.calls)?.add(NotificationServiceServer::new(api));

        let shutdown = base.chassis.shutdown();
        base.chassis.spawn("feeds", hub.watch(feeds, settings.feed.poll.clone(), shutdown));
        base.start(server).await
    }

    fn migrations() -> Migrations {
        migrations_with(migrations::runner())
    }
}

#[allow(missing_docs, reason = "generated")]
mod migrations {
    use flotilla_postgres::refinery;

    refinery::embed_migrations!("migrations");

    /// Notification's own migrations.
    pub fn runner() -> refinery::Runner {
        migrations::runner()
    }
}
