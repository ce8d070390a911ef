//! Payments: customers' accounts and a double-entry ledger.
//!
//! Owns the tables `accounts`, `transfers`, `postings` and `charges` and the stream `PAYMENTS`
//! (`flotilla.payments.events`: `PaymentCharged`, `PaymentDeclined`, `PaymentRefunded`, `AccountToppedUp`). Consumes
//! `ChargePayment` and `RefundPayment` of orders and the user events of identity. Guarantees: postings of a transfer sum
//! to zero; no customer's balance goes below zero; an order is charged at most once, and never after its refund; a
//! top-up counts once for its request id.

pub mod arrivals;
pub mod config;
pub mod domain;
pub mod error;
pub mod events;
pub mod grpc;
pub mod metrics;
pub mod storage;
pub mod top_up;

use std::sync::Arc;

use anyhow::Context as _;
use flotilla_messaging::{ConsumerSpec, Messaging, StreamSpec};
use flotilla_money::Currency;
use flotilla_postgres::Pool;
use flotilla_proto::events::{consumers, streams};
use flotilla_proto::payments::v1::payment_service_server::PaymentServiceServer;
use flotilla_rpc::{AccessRules, Server};
use flotilla_service::{Chassis, Common, Migrations, PageKey, Running, Service};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

use crate::{
    arrivals::Arrivals,
    events::{Commands, UserEvents},
    grpc::PaymentApi,
    metrics::Metrics,
    storage::{Accounts, Statement},
    top_up::TopUps,
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The service.
pub struct Payments;

impl Service for Payments {
    const NAME: &'static str = "payments";
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
        let postgres = &settings.postgres;
        let mut chassis = Chassis::new(Self::NAME, &settings.service, registry);
        let faults = chassis.faults();
        let currency = Currency::parse(&settings.currency).context("the currency is not known")?;
        let system = Pool::connect("system", &postgres.system_url, postgres, registry)?.with_faults(&faults);
        let own = Pool::connect("user", &postgres.user_url, postgres, registry)?.with_faults(&faults);
        let messaging =
            Messaging::new(Self::NAME, StreamSpec::of(&streams::PAYMENTS), system.clone(), &settings.nats, registry)
                .await?;
        let mut messaging = messaging.with_faults(&faults);
        let (ids, outbox) = (messaging.ids(), messaging.outbox());
        let metrics = Metrics::new(registry)?;
        let accounts = Accounts::new(system.clone(), own.clone());
        let arrivals = Arc::new(Arrivals::new(accounts.clone()));
        let (top_ups, top_up_writers) = TopUps::new(system.clone(), outbox, ids.clone(), metrics.clone());
        let commands = Commands::new(ids.clone(), metrics).with_faults(&faults);
        let users = UserEvents::new(currency, Arc::clone(&arrivals));
        let consumer = |consumer| ConsumerSpec::of(consumer, events::MAX_EVENTS);
        messaging.consume(consumer(&consumers::PAYMENTS_ORDERS), Arc::new(commands))?;
        messaging.consume(consumer(&consumers::PAYMENTS_IDENTITY), Arc::new(users))?;

        let authenticator = chassis.authenticator(&settings.auth, &settings.client)?;
        let statement = Statement::new(system.clone(), own.clone());
        let api =
            PaymentApi::new(accounts, statement, top_ups, Arc::clone(&arrivals), PageKey::new(system.clone()), ids);
        let server = Server::new(&settings.grpc, Some(authenticator), AccessRules::declared(), registry)
            .add(PaymentServiceServer::new(api));

        chassis.check_database("database", &system);
        chassis.check_database("database as user", &own);
        let broker = messaging.broker_probe();
        chassis.check_link("broker", move || broker.state());
        let shutdown = chassis.shutdown();
        chassis.spawn("top-ups", top_up_writers.run(shutdown.clone()));
        chassis.spawn("arrivals", arrivals.run(shutdown.clone()));
        chassis.spawn("messaging", messaging.run(shutdown));
        chassis.start(server, settings.grpc.listen).await
    }

    fn migrations() -> Migrations {
        migrations()
    }
}

/// All migrations, in their order, each set with the name of its history table.
#[must_use]
pub fn migrations() -> Migrations {
    vec![
        ("messaging_history", flotilla_messaging::migrations()),
        ("service_history", flotilla_service::migrations()),
        ("schema_history", embedded::migrations::runner()),
    ]
}
