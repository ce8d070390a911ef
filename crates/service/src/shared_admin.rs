//! The admin port of a process that runs several services.
//!
//! Each service has the endpoints of a process of its own below its name, such as `/orders/readyz`. Those of the process
//! are at the root: `/livez`, `/readyz` and `/startupz` are about all services together, `/metrics` has the metrics of all
//! with the label `job`, `/process/metrics` those that belong to no service, such as memory.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::join_all;
use prometheus::Registry;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::admin::{self, Admin, Mounted};

/// The port's endpoints. Clones share them.
#[derive(Clone)]
pub(crate) struct SharedAdmin(Arc<Inner>);

struct Inner {
    process: &'static str,
    services: Vec<&'static str>,
    address: SocketAddr,
    /// Metrics of the process itself.
    registry: Registry,
    /// Routes of the process.
    mounted: Mounted,
    /// The services that run.
    running: RwLock<BTreeMap<&'static str, (Admin, Router)>>,
}

impl SharedAdmin {
    /// Binds the port of a process that runs these services.
    ///
    /// # Errors
    /// The address can't be bound.
    pub async fn bind(
        process: &'static str,
        services: Vec<&'static str>,
        listen: SocketAddr,
        registry: &Registry,
    ) -> anyhow::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let (address, registry) = (listener.local_addr()?, registry.clone());
        let (mounted, running) = (Mounted::default(), RwLock::default());
        Ok((Self(Arc::new(Inner { process, services, address, registry, mounted, running })), listener))
    }

    /// The address of the port.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Adds routes of the process.
    pub fn mount(&self, routes: Router) {
        self.0.mounted.add(routes);
    }

    /// Adds the endpoints of a service that runs.
    pub fn add(&self, admin: Admin) {
        let mut running = self.0.running.write().unwrap_or_else(PoisonError::into_inner);
        running.insert(admin.service, (admin.clone(), admin::router(admin)));
    }

    /// Serves the endpoints until `shutdown`.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/startupz", get(startupz))
            .route("/metrics", get(metrics))
            .route("/process/metrics", get(process_metrics))
            .route("/version", get(version))
            .fallback(of_service)
            .with_state(self);
        admin::serve(listener, router, shutdown).await;
    }

    /// Every service, with its endpoints if it runs.
    fn services(&self) -> Vec<(&'static str, Option<Admin>)> {
        let running = self.0.running.read().unwrap_or_else(PoisonError::into_inner);
        self.0.services.iter().map(|name| (*name, running.get(name).map(|(admin, _)| admin.clone()))).collect()
    }

    fn router(&self, service: &str) -> Option<Router> {
        let running = self.0.running.read().unwrap_or_else(PoisonError::into_inner);
        running.get(service).map(|(_, router)| router.clone())
    }
}

/// Passes the port to the chassis of a service. Not a setting; clones share it.
#[derive(Clone, Default)]
pub struct AdminLink(Arc<OnceLock<SharedAdmin>>);

impl AdminLink {
    /// Sets the port. Only the first call has an effect.
    pub(crate) fn attach(&self, admin: &SharedAdmin) {
        // A process has one port.
        drop(self.0.set(admin.clone()));
    }

    /// The port, in a process that runs several services.
    pub(crate) fn shared(&self) -> Option<&SharedAdmin> {
        self.0.get()
    }
}

impl fmt::Debug for AdminLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AdminLink").field(&self.0.get().map(SharedAdmin::address)).finish()
    }
}

/// Whether a condition holds for every service, and what each says.
fn all(answers: Vec<(&'static str, bool, Value)>) -> (bool, Map<String, Value>) {
    let whole = answers.iter().all(|(_, holds, _)| *holds);
    (whole, answers.into_iter().map(|(name, _, answer)| (name.to_owned(), answer)).collect())
}

async fn livez(State(shared): State<SharedAdmin>) -> impl IntoResponse {
    // A service that doesn't run yet has no heartbeat; a start that hangs is the supervisor's to notice.
    let answers = shared.services().into_iter().map(|(name, admin)| match admin {
        Some(admin) => (name, admin.heartbeat.is_alive(), admin::heartbeat_json(&admin)),
        None => (name, true, json!({ "starting": true })),
    });
    let (alive, services) = all(answers.collect());
    (admin::status(alive), Json(json!({ "services": services })))
}

async fn readyz(State(shared): State<SharedAdmin>) -> impl IntoResponse {
    let asked = shared.services().into_iter().map(|(name, admin)| async move {
        let Some(admin) = admin else { return (name, false, json!({ "ready": false, "starting": true })) };
        let report = admin.readiness.report().await;
        (name, report.ready, admin::readiness_json(&admin, &report))
    });
    let (ready, services) = all(join_all(asked).await);
    (admin::status(ready), Json(json!({ "service": shared.0.process, "ready": ready, "services": services })))
}

async fn startupz(State(shared): State<SharedAdmin>) -> impl IntoResponse {
    let asked = shared.services().into_iter().map(|(name, admin)| async move {
        let started = match admin {
            Some(admin) => admin::has_started(&admin).await,
            None => false,
        };
        (name, started, json!({ "started": started }))
    });
    let (started, services) = all(join_all(asked).await);
    (admin::status(started), Json(json!({ "started": started, "services": services })))
}

async fn metrics(State(shared): State<SharedAdmin>, request: Request) -> impl IntoResponse {
    let running = shared.services().into_iter().filter_map(|(name, admin)| Some((name, admin?.registry)));
    let exposed =
        flotilla_telemetry::expose_all(&shared.0.registry, &running.collect::<Vec<_>>(), admin::accepted(&request));
    ([(header::CONTENT_TYPE, exposed.content_type)], exposed.body)
}

async fn process_metrics(State(shared): State<SharedAdmin>, request: Request) -> impl IntoResponse {
    let exposed = flotilla_telemetry::expose(&shared.0.registry, admin::accepted(&request));
    ([(header::CONTENT_TYPE, exposed.content_type)], exposed.body)
}

async fn version(State(shared): State<SharedAdmin>) -> impl IntoResponse {
    let mut version = admin::version_json(shared.0.process);
    version["services"] = json!(shared.0.services);
    Json(version)
}

/// `/orders/readyz` is orders' `/readyz`; what names no service is a route of the process.
async fn of_service(State(shared): State<SharedAdmin>, mut request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let (service, rest) = path.split_once('/').unwrap_or((path, ""));
    if !shared.0.services.contains(&service) {
        return shared.0.mounted.answer(request).await;
    }
    let Some(router) = shared.router(service) else {
        let error = format!("{service} is starting");
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response();
    };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    match format!("/{rest}{query}").parse::<Uri>() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response();
        }
    }
    router.oneshot(request).await.unwrap_or_else(|never| match never {})
}
