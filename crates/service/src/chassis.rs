//! Builds a service: tasks, checks and hooks are added, then it starts.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use flotilla_fault::Faults;
use flotilla_postgres::Pool;
use flotilla_rpc::{HealthHandle, Server};
use flotilla_telemetry::spawn;
use futures::future::BoxFuture;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin, Mounted};
use crate::faults;
use crate::heartbeat::Heartbeat;
use crate::readiness::{Check, Readiness};
use crate::running::Stopper;
use crate::shared_admin::SharedAdmin;
use crate::supervisor::{Hook, Supervisor, Tasks};
use crate::{Running, ServiceSettings, Severity};

/// Collects the parts of a service. If it is dropped before the start, its tasks end.
#[derive(Debug)]
pub struct Chassis {
    name: &'static str,
    settings: ServiceSettings,
    registry: Registry,
    draining: CancellationToken,
    shutdown: CancellationToken,
    tasks: Tasks,
    checks: Vec<Check>,
    databases: Vec<Pool>,
    hooks: Vec<Hook>,
    mounted: Mounted,
    faults: Faults,
}

impl Chassis {
    /// The chassis of the service `name`.
    pub fn new(name: &'static str, settings: &ServiceSettings, registry: &Registry) -> Self {
        Self {
            name,
            settings: settings.clone(),
            registry: registry.clone(),
            draining: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            tasks: Tasks::default(),
            checks: Vec::new(),
            databases: Vec::new(),
            hooks: Vec::new(),
            mounted: Mounted::default(),
            faults: settings.possible_faults(),
        }
    }

    /// The faults that may be switched on here: none unless the settings allow them, and none in production.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// The service's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The registry of its metrics.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Cancelled once the calls in flight have ended: background tasks must end now.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Cancelled when the drain begins: streams to clients must end now.
    pub fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Runs a background task that must live as long as the service: it has to end once
    /// [`shutdown`](Self::shutdown) is cancelled; an earlier end or a panic stops the service with an error.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(name, task);
    }

    /// Adds a readiness check. It runs about once a second and may take at most a second.
    pub fn check<P>(&mut self, name: &'static str, severity: Severity, probe: P)
    where
        P: Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    {
        self.checks.push(Check { name, severity, probe: Arc::new(probe) });
    }

    /// Adds a readiness check for a database: required.
    pub fn check_database(&mut self, name: &'static str, pool: &Pool) {
        self.databases.push(pool.clone());
        let pool = pool.clone();
        self.check(name, Severity::Required, move || {
            let pool = pool.clone();
            Box::pin(async move { pool.ping().await.map_err(|error| error.to_string()) })
        });
    }

    /// Adds a readiness check for a dependency that the service can do without for a while, such as the broker: its
    /// failure only means degraded. `state` returns what is wrong.
    pub fn check_link(&mut self, name: &'static str, state: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.check(name, Severity::Degraded, move || Box::pin(std::future::ready(state())));
    }

    /// Runs `hook` after the tasks have ended (to close connections, for example), within the grace.
    pub fn on_drain(&mut self, hook: impl Future<Output = ()> + Send + 'static) {
        self.hooks.push(Hook(Box::pin(hook)));
    }

    /// Adds routes to the admin port.
    ///
    /// # Panics
    /// A path is mounted twice.
    pub fn mount(&mut self, routes: axum::Router) {
        self.mounted.add(routes);
    }

    /// Binds the addresses, serves gRPC and the admin endpoints, and supervises everything.
    ///
    /// # Errors
    /// If an address can't be bound, or a pool's role isn't allowed for it.
    pub async fn start(self, server: Server, listen: SocketAddr) -> anyhow::Result<Running> {
        let server = server.in_production(self.settings.environment.is_production());
        let health = server.health();
        let serve = |listener, shutdown| async move { server.serve(listener, shutdown).await.map_err(Into::into) };
        self.start_with(listen, Some(health), serve).await
    }

    /// As [`start`](Self::start) for a server of another kind: `serve` gets the listener and a token whose
    /// cancellation asks it to drain and return.
    ///
    /// # Errors
    /// An address can't be bound.
    pub async fn start_with<F, Fut>(
        mut self,
        listen: SocketAddr,
        health: Option<HealthHandle>,
        serve: F,
    ) -> anyhow::Result<Running>
    where
        F: FnOnce(TcpListener, CancellationToken) -> Fut,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        refuse_unfit_roles(&self.databases).await?;
        faults::show(&self.faults, &self.registry)?;
        if self.faults.are_allowed() {
            tracing::warn!(service = self.name, "faults are allowed in this service");
            self.mount(faults::routes(self.faults.clone()));
        }
        let public = bind(listen).await?;
        let port = AdminPort::of(&self.settings).await?;
        let (grpc, admin) = (public.local_addr()?, port.address()?);
        let stop_server = CancellationToken::new();
        let server = spawn(serve(public, stop_server.clone()));

        let readiness = Readiness::new(self.checks);
        let heartbeat = Heartbeat::new(&self.registry)?;
        let endpoints = Admin {
            service: self.name,
            readiness: readiness.clone(),
            heartbeat: heartbeat.clone(),
            registry: self.registry,
            mounted: self.mounted.clone(),
        };
        let stop_admin = CancellationToken::new();
        let mut own = Tasks::default();
        own.spawn("heartbeat", heartbeat.run(stop_admin.clone()));
        own.spawn("readiness", readiness.clone().follow(health.clone(), stop_admin.clone()));
        match port {
            AdminPort::Own(listener) => {
                own.spawn("admin endpoints", admin::serve(listener, admin::router(endpoints), stop_admin.clone()));
            }
            AdminPort::Shared(shared) => shared.add(endpoints),
        }

        let stopper = Stopper::default();
        let supervisor = Supervisor {
            name: self.name,
            grace: self.settings.grace,
            stopper: stopper.clone(),
            draining: self.draining,
            stop_server,
            server,
            shutdown: self.shutdown,
            tasks: self.tasks,
            hooks: self.hooks,
            stop_admin,
            own,
            readiness: readiness.clone(),
            health,
        };
        tracing::info!(service = self.name, %grpc, %admin, "ready");
        let supervisor = spawn(supervisor.run());
        Ok(Running { name: self.name, grpc, admin, stopper, readiness, mounted: self.mounted, supervisor })
    }
}

/// Where the admin endpoints are served.
enum AdminPort {
    Own(TcpListener),
    /// The process runs several services.
    Shared(SharedAdmin),
}

impl AdminPort {
    async fn of(settings: &ServiceSettings) -> anyhow::Result<Self> {
        match settings.admin.shared() {
            Some(shared) => Ok(Self::Shared(shared.clone())),
            None => Ok(Self::Own(bind(settings.admin_listen).await?)),
        }
    }

    fn address(&self) -> std::io::Result<SocketAddr> {
        match self {
            Self::Own(listener) => listener.local_addr(),
            Self::Shared(shared) => Ok(shared.address()),
        }
    }
}

/// Fails the start if a role would bypass row-level security. A database that doesn't answer is no failure: its role is
/// checked on the first connection, and until then the service isn't ready.
async fn refuse_unfit_roles(pools: &[Pool]) -> anyhow::Result<()> {
    for answer in futures::future::join_all(pools.iter().map(Pool::ping)).await {
        match answer {
            Err(error) if error.is_unfit_role() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
