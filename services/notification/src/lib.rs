//! Notification: what customers are told, once each, in order.
//!
//! Owns the tables `deliveries`, `feeds`, `shown`, `preferences` and `order_notices`. Consumes the events of orders, payments and identity; says
//! `DeliveryRecorded`. Guarantees: each terminal state of an order, each payment and each welcome is recorded exactly
//! once; each customer's deliveries are numbered from 1 without a gap and become visible in that order, so that a live
//! feed resumed from any token misses none.

pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod feed;
pub mod grpc;
pub mod storage;

use std::sync::Arc;

use flotilla_messaging::{ConsumerSpec, Messaging, StreamSpec};
use flotilla_postgres::Pool;
use flotilla_proto::events::streams;
use flotilla_proto::notification::v1::notification_service_server::NotificationServiceServer;
use flotilla_rpc::{AccessRules, Server};
use flotilla_service::{Chassis, Common, Migrations, PageKey, Running, Service};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

/// The service.
pub struct Notification;

impl Service for Notification {
    const NAME: &'static str = "notification";
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
        let messaging = Messaging::new(
            Self::NAME,
            StreamSpec::of(&streams::NOTIFICATION),
            system.clone(),
            &settings.nats,
            registry,
        )
        .await?;
        let mut messaging = messaging.with_faults(&faults);
        let (ids, broker) = (messaging.ids(), messaging.broker_probe());

        let single = events::SingleNotice::new(chassis.flags(&settings.flags, &settings.remote).await?);
        let hub = feed::Hub::new(settings.feed.listeners_each);
        for recorder in events::Recorder::of_each_consumer(&ids, &hub, &single, registry)? {
            let spec = ConsumerSpec::of(recorder.consumer(), settings.feed.max_batch);
            messaging.consume(spec, Arc::new(recorder))?;
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
        let authenticator = chassis.authenticator(&settings.auth, &settings.client)?;
        let server = Server::new(&settings.grpc, Some(authenticator), AccessRules::declared(), registry)
            .add(NotificationServiceServer::new(api));

        chassis.check_database("database", &system);
        chassis.check_database("database as user", &user);
        chassis.check_link("broker", move || broker.state());
        chassis.spawn("messaging", messaging.run(chassis.shutdown()));
        chassis.spawn("feeds", hub.watch(feeds, settings.feed.poll.clone(), chassis.shutdown()));
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

    /// Notification's own migrations.
    pub fn runner() -> refinery::Runner {
        migrations::runner()
    }
}
