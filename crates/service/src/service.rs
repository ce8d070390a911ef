//! The description of a service that the chassis runs.

use std::future::Future;

use anyhow::Context as _;
use flotilla_postgres::refinery::Runner;
use flotilla_postgres::{
    Error, MigrationLimits, PostgresSettings, await_migrations, bootstrap_for, check_schema, migrate,
};
use flotilla_rpc::{ClientSettings, ServerSettings};
use flotilla_telemetry::{Telemetry, TelemetrySettings};

use crate::remote::RemoteSettings;
use crate::{CallSettings, Running, ServiceSettings};

/// The sections that every service has.
#[derive(Debug, Clone, Copy)]
pub struct Common<'a> {
    /// Section `service`.
    pub service: &'a ServiceSettings,
    /// Section `telemetry`.
    pub telemetry: &'a TelemetrySettings,
    /// Section `remote`.
    pub remote: &'a RemoteSettings,
    /// Section `postgres`, of a service that has a database.
    pub postgres: Option<&'a PostgresSettings>,
    /// Section `grpc`, of a service that others call.
    pub grpc: Option<&'a ServerSettings>,
    /// Section `client`, of a service that calls others.
    pub client: Option<&'a ClientSettings>,
}

impl<'a> Common<'a> {
    /// With the sections of a service that calls others.
    #[must_use]
    pub fn calling(self, calls: &'a CallSettings) -> Self {
        Self { client: Some(&calls.client), ..self }
    }
}

/// Migrations in their order, each set with the name of its history table.
pub type Migrations = Vec<(&'static str, Runner)>;

/// A service of the fleet.
pub trait Service: 'static {
    /// Its name: of the process, its database, its metrics.
    const NAME: &'static str;

    /// Its settings.
    type Settings: crate::Settings;

    /// The common sections of its settings.
    fn common(settings: &Self::Settings) -> Common<'_>;

    /// Connects, wires and starts everything; the bound addresses are in the result.
    fn build(settings: Self::Settings, telemetry: &Telemetry) -> impl Future<Output = anyhow::Result<Running>> + Send;

    /// The migrations of its database; none of a service without one.
    fn migrations() -> Migrations {
        Vec::new()
    }

    /// Migrates the database; creates it first if a superuser's address is set. Without a database there is nothing to
    /// do.
    fn migrate(settings: &Self::Settings) -> impl Future<Output = anyhow::Result<()>> + Send {
        let postgres = Self::common(settings).postgres;
        async move {
            let Some(postgres) = postgres else { return Ok(()) };
            if let Some(superuser) = &postgres.superuser_url {
                bootstrap_for(superuser, Self::NAME, postgres).await.context("can't set up the database")?;
            }
            migrate(&postgres.owner()?, Self::migrations(), MigrationLimits::of(postgres)).await?;
            Ok(())
        }
    }

    /// Waits until the database has been migrated.
    fn await_migrations(settings: &Self::Settings) -> impl Future<Output = anyhow::Result<()>> + Send {
        let postgres = Self::common(settings).postgres;
        async move {
            let Some(postgres) = postgres else { return Ok(()) };
            let wait = postgres.migration_wait.get();
            Ok(await_migrations(&postgres.system_url.get(), &Self::migrations(), wait).await?)
        }
    }

    /// Whether this program may serve on its database's schema.
    ///
    /// The error [is about the schema](Error::is_unfit_schema) if it is too old, or newer without a declaration that this
    /// program tolerates it.
    fn check_schema(settings: &Self::Settings) -> impl Future<Output = Result<(), Error>> + Send {
        let postgres = Self::common(settings).postgres;
        async move {
            let Some(postgres) = postgres else { return Ok(()) };
            check_schema(&postgres.system_url.get(), &Self::migrations()).await
        }
    }
}
