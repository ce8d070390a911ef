//! PostgreSQL, NATS and Redis: private ones, or the user's own if `FLOTILLA_USE_*_URL` names them.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Result;
use flotilla_servers::{
    External, Kind, Layout, Nats, NatsOptions, NatsUser, Postgres, PostgresOptions, Redis, RedisOptions, Server,
    provision,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{backoff::with_backoff, shared_state::SharedState};
use crate::{
    SERVERS,
    credentials::{nats_users, secrets::Secrets},
    home::{
        Home, ports,
        state::{Phase, without_password},
    },
};

/// How often the hold marker of a stopped server is checked.
const HOLD_PAUSE: Duration = Duration::from_millis(50);

/// The private servers, and the addresses of all.
pub struct Servers {
    /// A superuser's URL of PostgreSQL.
    pub postgres_url: String,
    /// URL of NATS; without a user if the server is the fleet's own.
    nats_url: String,
    /// The users of NATS if it is the fleet's own.
    nats_users: Vec<NatsUser>,
    /// URL of Redis, with the password.
    pub redis_url: String,
    postgres: Option<Postgres>,
    nats: Option<Nats>,
    redis: Option<Redis>,
}

impl Servers {
    /// Installs and starts the servers that the user doesn't provide.
    pub async fn start(
        layout: &Layout,
        home: &Home,
        shared: &SharedState,
        secrets: &Secrets,
        external: External,
    ) -> Result<Self> {
        shared.phase(Phase::Starting("installing PostgreSQL, NATS and Redis".to_owned()));
        let binaries = provision(layout, &|line: &str| shared.phase(Phase::Starting(line.to_owned()))).await?;
        shared.sources(binaries.sources.clone());
        shared.phase(Phase::Starting("starting PostgreSQL, NATS and Redis".to_owned()));
        let ports = ports::pick(home, "server-ports.json", &SERVERS.map(str::to_owned))?;
        let wish = |name: &str| ports.get(name).copied();
        let postgres_options = PostgresOptions {
            port: wish("postgres"),
            password: Some(secrets.postgres_password.clone()),
            // A WAL archive that falls further behind than this has a gap, so that PostgreSQL's disk doesn't fill up.
            settings: vec![("max_slot_wal_keep_size".to_owned(), "8GB".to_owned())],
        };
        let users = nats_users::users(&secrets.nats_passwords);
        let nats_options = NatsOptions { users: users.clone(), port: wish("nats"), ..NatsOptions::default() };
        let redis_options = RedisOptions {
            port: wish("redis"),
            password: Some(secrets.redis_password.clone()),
            ..RedisOptions::default()
        };
        let [name_postgres, name_nats, name_redis] = SERVERS.map(|name| home.server_name(name));
        let (postgres, nats, redis) = tokio::try_join!(
            unless(external.postgres.is_some(), Postgres::start(&binaries, layout, &name_postgres, postgres_options)),
            unless(external.nats.is_some(), Nats::start(&binaries, layout, &name_nats, nats_options)),
            unless(external.redis.is_some(), Redis::start(&binaries, layout, &name_redis, redis_options)),
        )?;
        let url = |own: Option<String>, given: Option<String>| own.or(given).unwrap_or_default();
        let servers = Self {
            postgres_url: url(postgres.as_ref().map(|server| server.url("postgres")), external.postgres),
            // The user's own server has its own users; its address contains the user for the fleet.
            nats_users: if nats.is_some() { users } else { Vec::new() },
            nats_url: url(nats.as_ref().map(Nats::url), external.nats),
            redis_url: url(redis.as_ref().map(Redis::url), external.redis),
            postgres,
            nats,
            redis,
        };
        shared.postgres_url(&servers.postgres_url);
        shared.broker_and_cache(&servers.nats_url_of(nats_users::COMMANDS), &servers.redis_url);
        note(shared, "postgres", servers.postgres.as_ref(), &servers.postgres_url);
        note(shared, "nats", servers.nats.as_ref(), &servers.nats_url);
        note(shared, "redis", servers.redis.as_ref(), &servers.redis_url);
        Ok(servers)
    }

    /// URL of NATS for a service, or for the fleet's own commands, with name and password.
    pub fn nats_url_of(&self, name: &str) -> String {
        let user = self.nats_users.iter().find(|user| user.name == name);
        user.map_or_else(|| self.nats_url.clone(), |user| user.at(&self.nats_url))
    }

    /// Spawns a task for each private server that keeps it alive until `stop`.
    pub fn watch(&mut self, tasks: &mut JoinSet<()>, home: &Home, shared: &Arc<SharedState>, stop: &CancellationToken) {
        if let Some(server) = self.postgres.take() {
            tasks.spawn(keep_alive(server, "postgres", home.clone(), Arc::clone(shared), stop.clone()));
        }
        if let Some(server) = self.nats.take() {
            tasks.spawn(keep_alive(server, "nats", home.clone(), Arc::clone(shared), stop.clone()));
        }
        if let Some(server) = self.redis.take() {
            tasks.spawn(keep_alive(server, "redis", home.clone(), Arc::clone(shared), stop.clone()));
        }
    }
}

async fn unless<T>(skip: bool, start: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    if skip { Ok(None) } else { start.await.map(Some) }
}

/// Adds a server to the published state, with a URL without a password.
fn note<K: Kind>(shared: &SharedState, name: &str, server: Option<&Server<K>>, url: &str) {
    let start_ms = server.and_then(|server| u64::try_from(server.start_time().as_millis()).ok());
    shared.add_server(name, server.map(Server::pid), without_password(url), start_ms);
}

/// Restarts a server that ends, unless it is held; wipes its data first if that was requested.
async fn keep_alive<K: Kind>(
    mut server: Server<K>,
    name: &'static str,
    home: Home,
    shared: Arc<SharedState>,
    stop: CancellationToken,
) {
    let mut held = tokio::time::interval(HOLD_PAUSE);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = server.ended() => {
                tracing::warn!(server = name, "server ended");
                shared.died(name);
            }
            _ = held.tick() => {
                if !home.hold_marker(name).exists() {
                    continue;
                }
                drop(server.stop().await);
                shared.stopped(name);
            }
        }
        while home.hold_marker(name).exists() && !stop.is_cancelled() {
            held.tick().await;
        }
        if stop.is_cancelled() {
            break;
        }
        wipe_where_asked(&mut server, &home, name).await;
        revive(&mut server, name, &shared, &stop).await;
    }
    if let Err(error) = server.stop().await {
        tracing::error!(server = name, %error, "server can't be stopped");
    }
    shared.stopped(name);
}

async fn wipe_where_asked<K: Kind>(server: &mut Server<K>, home: &Home, name: &str) {
    let request = home.request(&format!("wipe-{name}"));
    if !request.exists() {
        return;
    }
    drop(server.stop().await);
    match server.wipe_data() {
        Ok(()) => tracing::warn!(server = name, "data wiped on request"),
        Err(error) => tracing::error!(server = name, %error, "data can't be wiped"),
    }
    if let Err(error) = fs::remove_file(request) {
        tracing::error!(server = name, %error, "request can't be removed");
    }
}

async fn revive<K: Kind>(server: &mut Server<K>, name: &'static str, shared: &SharedState, stop: &CancellationToken) {
    let server = tokio::sync::Mutex::new(server);
    with_backoff(stop, || async {
        let mut server = server.lock().await;
        match server.restart().await {
            Ok(()) => {
                shared.running(name, server.pid(), u64::try_from(server.start_time().as_millis()).ok());
                true
            }
            Err(error) => {
                tracing::error!(server = name, error = format!("{error:#}"), "server can't be started");
                false
            }
        }
    })
    .await;
}
