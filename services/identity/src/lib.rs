//! Identity: users, their credentials, and the tokens that all services check.
//!
//! Owns the tables `users` and `signing_keys` and the stream `IDENTITY` (`flotilla.identity.users`: `UserCreated`,
//! `UserUpdated`, `UserDeleted`). Serves `UserService` and `AuthService`; consumes nothing, so it has no `events/`.
//! Guarantees: an address belongs to one user; passwords are stored as Argon2id hashes alone; every change of a user
//! leaves with its event in one transaction; all replicas sign with one key.

pub mod config;
pub mod domain;
pub mod error;
pub mod grpc;
pub mod keys;
pub mod operator;
pub mod passwords;
pub mod storage;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use flotilla_config::{ExposeSecret as _, SecretString};
use flotilla_messaging::{Messaging, StreamSpec};
use flotilla_postgres::{Pool, PostgresSettings, refinery::Runner};
use flotilla_proto::identity::v1::{auth_service_server::AuthServiceServer, user_service_server::UserServiceServer};
use flotilla_rpc::{Authenticator, Server, page::PageTokens};
use flotilla_service::{Chassis, Common, Running, Service, Severity};
use flotilla_telemetry::Telemetry;
use sha2::{Digest as _, Sha256};

pub use config::Settings;

use crate::{
    grpc::{Auth, UserApi},
    keys::SigningKeys,
    passwords::Passwords,
    storage::Users,
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The stream that identity's relay writes.
const STREAM: StreamSpec = StreamSpec { name: "IDENTITY", subjects: &["flotilla.identity.users"] };
/// How long the start waits for the database.
const START: Duration = Duration::from_secs(30);

/// The service.
pub struct Identity;

impl Service for Identity {
    const NAME: &'static str = "identity";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        Common { service: &settings.service, telemetry: &settings.telemetry }
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let registry = telemetry.registry();
        let postgres = &settings.postgres;
        let system = Pool::connect("system", &postgres.system_url, postgres, registry)?;
        let own = Pool::connect("user", &postgres.user_url, postgres, registry)?;
        let messaging = Messaging::new(Self::NAME, STREAM, system.clone(), &settings.nats, registry).await?;
        let ids = messaging.ids();
        let users = Users::new(system.clone(), own, messaging.outbox(), ids.clone());

        let stored = storage::load_or_make(&system, ids.random().as_ref(), START).await;
        let keys = Arc::new(SigningKeys::new(&stored.context("signing keys can't be loaded")?, &settings.auth)?);
        let passwords = Arc::new(Passwords::new(&settings.passwords, ids.random())?);
        operator::ensure(&settings.admin, &users, &passwords, &ids, START).await?;

        let authenticator = Authenticator::new(&settings.auth.verification(), keys.source());
        let pages = page_tokens(postgres);
        let server = Server::new(&settings.grpc, Some(authenticator), grpc::rules(), registry)
            .add(UserServiceServer::new(UserApi::new(users.clone(), Arc::clone(&passwords), pages, ids.clone())))
            .add(AuthServiceServer::new(Auth::new(users, passwords, keys, ids)));

        let mut chassis = Chassis::new(Self::NAME, &settings.service, registry);
        chassis.check("postgres", Severity::Required, move || {
            let pool = system.clone();
            Box::pin(async move { pool.ping().await.map_err(|error| error.to_string()) })
        });
        let broker = messaging.broker_probe();
        chassis.check("nats", Severity::Degraded, move || {
            let up = broker.is_up();
            Box::pin(async move { if up { Ok(()) } else { Err("not connected".to_owned()) } })
        });
        let shutdown = chassis.shutdown();
        chassis.spawn("messaging", messaging.run(shutdown));
        chassis.start(server, settings.grpc.listen).await
    }

    async fn migrate(settings: &Settings) -> anyhow::Result<()> {
        migrate(&settings.postgres.owner_url).await
    }
}

/// All migrations, in their order, each set with the name of its history table.
#[must_use]
pub fn migrations() -> Vec<(&'static str, Runner)> {
    vec![("messaging_history", flotilla_messaging::migrations()), ("schema_history", embedded::migrations::runner())]
}

/// Brings a database of identity up to date, as its owner.
///
/// # Errors
/// No connection, or a migration that fails.
pub async fn migrate(owner_url: &SecretString) -> anyhow::Result<()> {
    flotilla_postgres::migrate(owner_url, migrations()).await?;
    Ok(())
}

/// Page tokens signed with a key that replicas share because they share a database. A token carries no rights: it only
/// says where a query goes on.
fn page_tokens(postgres: &PostgresSettings) -> PageTokens {
    let mut key = Sha256::new_with_prefix("flotilla.identity.page_tokens");
    key.update(postgres.system_url.expose_secret());
    PageTokens::new(key.finalize())
}
