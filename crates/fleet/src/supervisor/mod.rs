//! The supervisor: a background process that runs the servers and services of a native fleet.
//!
//! Started by `fleet up`, stopped by `fleet down` (SIGTERM). Holds `supervisor.lock` while it runs, publishes its state
//! in `state.json`, restarts members that die with backoff, and ends its members however it ends itself.

mod addresses;
mod archive;
mod backoff;
mod claim;
mod database;
pub(crate) mod keep_alive;
pub mod observability;
mod servers;
mod service;
pub(crate) mod shared_state;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::{External, Layout, Log};
use tokio::{signal::unix::SignalKind, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::{addresses::Addresses, observability::Stack, servers::Servers, shared_state::SharedState};
use crate::{
    DATABASES, ONE_PROCESS, SERVICES, certs,
    credentials::{nats_users, secrets::Secrets},
    home::{Home, state::Phase},
};

/// All services must be ready within this time after their start.
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// Runs the fleet until SIGTERM or SIGINT.
///
/// # Errors
/// If another supervisor is running, or the fleet can't start; the state records the reason too.
pub async fn run(home: Home) -> Result<()> {
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(home.lock())?;
    if lock.try_lock().is_err() {
        bail!("another supervisor is already running this fleet");
    }
    let stop = CancellationToken::new();
    let signals = tokio::spawn(watch_signals(stop.clone()));
    let shared = Arc::new(SharedState::new(home.clone()));
    let outcome = supervise(&home, &shared, &stop).await;
    signals.abort();
    match &outcome {
        Ok(()) => shared.phase(Phase::Stopped),
        Err(error) => shared.phase(Phase::Failed(format!("{error:#}"))),
    }
    drop(lock);
    outcome
}

/// Starts all members, supervises them until `stop`, then stops them, services first.
async fn supervise(home: &Home, shared: &Arc<SharedState>, stop: &CancellationToken) -> Result<()> {
    let secrets = Secrets::complete(home)?;
    clear_markers(home)?;
    if home.tls() {
        certs::ensure(home).await?;
    }
    // If this is cancelled, the processes that have started are killed with their owner.
    let prepared = tokio::select! {
        prepared = prepare(home, shared, &secrets) => prepared?,
        () = stop.cancelled() => return Ok(()),
    };
    let Prepared { mut servers, addresses, environment, stack } = prepared;

    let mut tasks = JoinSet::new();
    let servers_stop = CancellationToken::new();
    shared.phase(Phase::Starting("starting services".to_owned()));
    let services_stop = CancellationToken::new();
    let mut services = JoinSet::new();
    let shared_process = home.one_process().then_some(ONE_PROCESS);
    for name in SERVICES {
        shared.add_service(name, addresses.grpc(name), &addresses.admin(name), shared_process);
    }
    for (name, environment) in environment {
        let admin = addresses.admin_listen(name);
        let member = service::Member { home: home.clone(), name, admin, environment };
        services.spawn(member.keep_alive(Arc::clone(shared), services_stop.clone()));
    }
    let observers = stack.map_or_else(Vec::new, |stack| stack.start(&mut tasks, home, shared, &servers_stop));
    servers.watch(&mut tasks, home, shared, &servers_stop);
    let archive_stop = CancellationToken::new();
    let archive = tokio::spawn(archive::keep(home.clone(), Arc::clone(shared), archive_stop.clone()));
    if home.tls() {
        tasks.spawn(certs::keep_fresh(home.clone(), servers_stop.clone()));
    }
    let ready = until_ready(shared, stop).await;
    if ready.is_ok() && !stop.is_cancelled() {
        observability::until_ready(shared, &observers, stop).await;
        write_environment(home, shared, &addresses, &servers, &secrets)?;
        shared.phase(Phase::Ready);
        stop.cancelled().await;
    }
    services_stop.cancel();
    while services.join_next().await.is_some() {}
    servers_stop.cancel();
    while tasks.join_next().await.is_some() {}
    // Last, so that it also archives what PostgreSQL writes during its shutdown.
    archive_stop.cancel();
    drop(archive.await);
    ready
}

/// What services need to start.
struct Prepared {
    servers: Servers,
    addresses: Addresses,
    /// The settings of each process.
    environment: BTreeMap<&'static str, service::Environment>,
    stack: Option<Stack>,
}

/// Starts the servers, and creates and migrates the databases.
async fn prepare(home: &Home, shared: &SharedState, secrets: &Secrets) -> Result<Prepared> {
    let external = External::from_env();
    claim::check(home, &external, secrets).await?;
    home.remember_place()?;
    let layout = Layout::open(home.servers())?;
    let servers = Servers::start(&layout, home, shared, secrets, external.clone()).await?;
    let (nats, redis) = (servers.nats_url_of(nats_users::COMMANDS), servers.redis_url.clone());
    claim::mark(home, external.nats.is_none().then_some(&*nats), external.redis.is_none().then_some(&*redis)).await?;
    shared.phase(Phase::Starting("preparing databases".to_owned()));
    let databases = database::prepare(&servers.postgres_url, secrets).await?;
    if let Some(url) = &external.postgres {
        claim::claim_databases(home, url).await?;
    }
    let addresses = Addresses::pick(home)?;
    let stack = if home.observability() { Some(Stack::prepare(home, &addresses.admins())?) } else { None };
    let mut environment = service::environments(home, &addresses, &databases, &servers, secrets);
    if let Some(stack) = &stack {
        for variables in environment.values_mut() {
            for (name, value) in stack.environment() {
                // The user's settings for a single service take precedence.
                variables.entry(name).or_insert(value);
            }
        }
    }
    shared.phase(Phase::Starting("migrating".to_owned()));
    if home.one_process() {
        environment = BTreeMap::from([(ONE_PROCESS, service::for_one_process(&environment))]);
        service::migrate(home, ONE_PROCESS, &environment[ONE_PROCESS]).await?;
    } else {
        futures::future::try_join_all(DATABASES.iter().map(|name| service::migrate(home, name, &environment[name])))
            .await?;
    }
    Ok(Prepared { servers, addresses, environment, stack })
}

/// Waits until every service is ready.
async fn until_ready(shared: &SharedState, stop: &CancellationToken) -> Result<()> {
    let all_ready = async {
        loop {
            let waiting = shared.services_not_started();
            if waiting.is_empty() || stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = shared.changed() => {}
                () = stop.cancelled() => {}
            }
        }
    };
    tokio::time::timeout(READY_DEADLINE, all_ready).await.map_err(|_| {
        let waiting = shared.services_not_started();
        let (first, all) = (waiting.first().map_or("supervisor", |name| &**name), waiting.join(", "));
        anyhow::anyhow!("not ready within {} s: {all}; run `fleet logs {first}` to see why", READY_DEADLINE.as_secs())
    })
}

/// Cancels `stop` on SIGTERM and SIGINT; ignores the SIGHUP of a closing terminal.
async fn watch_signals(stop: CancellationToken) {
    let listen = |kind| tokio::signal::unix::signal(kind);
    let (Ok(mut term), Ok(mut interrupt), Ok(mut hangup)) =
        (listen(SignalKind::terminate()), listen(SignalKind::interrupt()), listen(SignalKind::hangup()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {}
        }
    }
    stop.cancel();
}

/// Removes holds and requests, which apply to one run only.
fn clear_markers(home: &Home) -> Result<()> {
    for folder in ["hold", "requests"] {
        for entry in fs::read_dir(home.root().join(folder))? {
            fs::remove_file(entry?.path())?;
        }
    }
    Ok(())
}

/// Writes `.flotilla/env`, which a shell can source. The fleet doesn't read these variables.
fn write_environment(
    home: &Home,
    shared: &SharedState,
    addresses: &Addresses,
    servers: &Servers,
    secrets: &Secrets,
) -> Result<()> {
    let mut lines = vec![
        format!("FLOTILLA_GATEWAY_URL={}", addresses.url(home, "gateway")),
        format!("FLOTILLA_NATS_URL={}", servers.nats_url_of(nats_users::COMMANDS)),
        format!("FLOTILLA_REDIS_URL={}", servers.redis_url),
        format!("FLOTILLA_ADMIN_EMAIL={}", secrets.admin_email),
        format!("FLOTILLA_ADMIN_PASSWORD={}", secrets.admin_password),
    ];
    for name in SERVICES {
        let variable = name.to_uppercase();
        lines.push(format!("FLOTILLA_{variable}_GRPC={}", addresses.grpc(name)));
        lines.push(format!("FLOTILLA_{variable}_ADMIN=http://{}", addresses.admin(name)));
    }
    if home.tls() {
        let files = certs::settings(&certs::folder(home), certs::DEVELOPER);
        for (name, path) in [("AUTHORITY", files.authority), ("CERTIFICATE", files.certificate), ("KEY", files.key)] {
            lines.push(format!("FLOTILLA_TLS_{name}={}", path.display()));
        }
    }
    for name in DATABASES {
        lines.push(format!("FLOTILLA_{}_DATABASE_URL={}", name.to_uppercase(), shared.database_url(name)));
    }
    lines.sort();
    let text: String = lines
        .iter()
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            format!("export {name}='{value}'\n")
        })
        .collect();
    home.write_private(&home.env(), text.as_bytes()).context("can't write the environment file")
}

/// Sends the supervisor's own log to its file, where `fleet up` has pointed standard error as well.
///
/// # Errors
/// When the file can't be opened.
pub fn start_log(home: &Home) -> Result<()> {
    let log = Mutex::new(Log::open(&home.log("supervisor"), home.rotation())?);
    let format = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::INFO).with_writer(log);
    // There is one supervisor in a process: in a second call the log is set up already.
    drop(format.try_init());
    Ok(())
}
