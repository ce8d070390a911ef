//! Payments: customers' accounts and a double-entry ledger.
//!
//! Owns the tables `accounts`, `charges`, `transfer_rows` and `postings` and the stream `PAYMENTS`
//! (`flotilla.payments.events`: `PaymentCharged`, `PaymentDeclined`, `PaymentRefunded`, `AccountToppedUp`). Consumes
//! `ChargePayment` and `RefundPayment` from orders and the user events from identity. Guarantees: the postings of a
//! transfer sum to zero; no customer's balance goes below zero; an order is charged at most once, and never after its
//! refund; a top-up is applied once per request id.

pub mod account_waits;
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
use flotilla_money::Currency;
use flotilla_proto::events::{consumers, streams};
use flotilla_proto::payments::v1::payment_service_server::PaymentServiceServer;
use flotilla_service::{Common, Infrastructure, Migrations, PageKey, Running, Service, migrations_with};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

use crate::{
    account_waits::AccountWaits,
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
        settings.common.common().calling(&settings.calls)
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut base = Infrastructure::connect(&streams::PAYMENTS, &settings.common, telemetry).await?;
        let currency = Currency::parse(&settings.currency).context("currency: must be a known ISO 4217 code")?;
        let (ids, outbox) = (base.ids(), base.outbox());
        let (system, own) = (base.system.clone(), base.user.clone());
        let metrics = Metrics::new(base.registry())?;
        let accounts = Accounts::new(system.clone(), own.clone());
        let account_waits = Arc::new(AccountWaits::new(accounts.clone()));
        let (top_ups, top_up_writers) = TopUps::new(system.clone(), outbox, ids.clone(), metrics.clone());
        let commands = Commands::new(ids.clone(), metrics).with_faults(&base.chassis.faults());
        let users = UserEvents::new(currency, Arc::clone(&account_waits));
        base.consume(&consumers::PAYMENTS_ORDERS, events::MAX_EVENTS, commands)?;
        base.consume(&consumers::PAYMENTS_IDENTITY, events::MAX_EVENTS, users)?;

        let statement = Statement::new(system.clone(), own.clone());
        let api = PaymentApi::new(
            accounts,
            statement,
            top_ups,
            Arc::clone(&account_waits),
            PageKey::new(system.clone()),
            ids,
        );
        let server = base.server(&settings.calls)?.add(PaymentServiceServer::new(api));

        let shutdown = base.chassis.shutdown();
        base.chassis.spawn("top-ups", top_up_writers.run(shutdown.clone()));
        base.chassis.spawn("account-waits", account_waits.run(shutdown));
        base.start(server).await
    }

    fn migrations() -> Migrations {
        migrations()
    }
}

/// All migrations in order, each set with the name of its history table.
#[must_use]
pub fn migrations() -> Migrations {
    migrations_with(embedded::migrations::runner())
}
