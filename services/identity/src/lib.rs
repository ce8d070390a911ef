//! Identity: users, their credentials, and the tokens that all services verify.
//!
//! Owns the tables `users`, `sessions`, `refresh_tokens`, `signing_keys`, `failed_attempts` and `known_networks` and
//! the stream `IDENTITY` (`flotilla.identity.users`: `UserCreated`, `UserUpdated`, `UserDeleted`). Serves `UserService`
//! and `AuthService`; consumes nothing, so it has no `events/`. Guarantees: an address belongs to one user, whatever
//! its normal form; passwords are normalized by RFC 8265 and stored only as Argon2id hashes; guessing is throttled
//! without locking users out; every change of a user is committed together with its event; all replicas sign with the
//! same key; a refresh token can be exchanged once, and its second use ends the session; no access token is accepted
//! for more than five seconds after its session was ended, while identity is reachable.

pub mod attempts;
pub mod cleaning;
pub mod config;
pub mod domain;
pub mod error;
pub mod grpc;
pub mod keys;
pub mod operator;
pub mod passwords;
pub mod rotation;
pub mod storage;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use flotilla_auth::Authenticator;
use flotilla_cgroup::Limits;
use flotilla_proto::events::streams;
use flotilla_proto::identity::v1::{auth_service_server::AuthServiceServer, user_service_server::UserServiceServer};
use flotilla_service::{Common, Infrastructure, Migrations, PageKey, Running, Service, migrations_with};
use flotilla_telemetry::Telemetry;

pub use config::Settings;

use crate::{
    attempts::Attempts,
    cleaning::Cleaning,
    grpc::{Auth, UserApi},
    keys::SigningKeys,
    passwords::Passwords,
    rotation::Rotation,
    storage::{FailedAttempts, KeyTable, RevokedSessions, Sessions, Users},
};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// How long the startup waits for the database.
const START: Duration = Duration::from_secs(30);

/// The service.
pub struct Identity;

impl Service for Identity {
    const NAME: &'static str = "identity";
    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        settings.common.common()
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let mut base = Infrastructure::connect(&streams::IDENTITY, &settings.common, telemetry).await?;
        let ids = base.ids();
        let (system, own) = (base.system.clone(), base.user.clone());
        let users = Users::new(system.clone(), own.clone(), base.outbox(), ids.clone());

        let sessions = Sessions::new(system.clone(), own.clone());
        let revoked = RevokedSessions::new(system.clone(), ids.clone());
        let passwords = Arc::new(Passwords::new(&settings.passwords.within(&Limits::of_process()), ids.random())?);
        operator::ensure(&settings.admin, &users, &passwords, &ids, START).await?;

        let table = KeyTable::new(system.clone());
        let stored = table.load_or_make(ids.random().as_ref(), ids.now(), START).await;
        let stored = stored.context("signing keys can't be loaded")?;
        let keys = Arc::new(SigningKeys::new(&stored, &settings.auth, ids.clock())?);
        let authenticator = Authenticator::new(&settings.auth.verification(), keys.clone());
        let rotation = Rotation::new(keys, table.clone(), ids.clone(), &settings.auth);
        let shutdown = base.chassis.shutdown();
        base.chassis.spawn("signing keys", rotation.clone().follow(shutdown.clone()));
        base.chassis
            .spawn("ended sessions", authenticator.watch_revocations(Arc::new(revoked.clone()), shutdown.clone()));
        let failed = FailedAttempts::new(system.clone());
        let attempts = Attempts::new(failed.clone(), Arc::clone(&passwords), &settings.guessing, base.registry())?;
        let attempts = Arc::new(attempts);
        let cleaning = Cleaning { sessions: sessions.clone(), attempts: failed, keys: table, ids: ids.clone() };
        base.chassis.spawn("cleaning", cleaning.run(shutdown));

        let pages = || PageKey::new(system.clone());
        let checks = (Arc::clone(&passwords), Arc::clone(&attempts));
        let user_api = UserApi::new(users.clone(), checks, pages(), authenticator.clone(), ids.clone());
        let auth = Auth {
            users,
            sessions,
            revoked,
            passwords,
            attempts,
            rotation,
            authenticator: authenticator.clone(),
            lifetimes: settings.auth.lifetimes(),
            page_key: pages(),
            ids,
        };
        let server =
            base.server_with(authenticator).add(UserServiceServer::new(user_api)).add(AuthServiceServer::new(auth));
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
