//! The admin endpoints, on a port of their own that must never be reachable from outside.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flotilla_telemetry::in_current_service;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::heartbeat::Heartbeat;
use crate::readiness::{Readiness, Report};

/// Maximum number of connections; further ones wait.
const CONNECTIONS: usize = 64;
/// How long a client may take to send a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may live; scrapers reconnect.
const CONNECTION: Duration = Duration::from_secs(120);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the endpoints report on.
#[derive(Clone)]
pub(crate) struct Admin {
    pub service: &'static str,
    pub readiness: Readiness,
    pub heartbeat: Heartbeat,
    pub registry: Registry,
    pub mounted: Mounted,
}

/// Routes that a service, or its `main`, adds to the admin port; also while it serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounted(Arc<RwLock<Router>>);

impl Mounted {
    /// Adds routes.
    ///
    /// # Panics
    /// Two of them have the same path.
    pub fn add(&self, routes: Router) {
        let mut mounted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *mounted = std::mem::take(&mut *mounted).merge(routes);
    }

    /// The answer of these routes.
    pub async fn answer(&self, request: Request) -> Response {
        let router = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        router.oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

/// Serves the endpoints until `shutdown`.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (accepted, place) = accepted => match accepted {
                Ok((stream, _)) => {
                    let router = router.clone();
                    connections.spawn(in_current_service(async move {
                        connection(stream, router).await;
                        drop(place);
                    }));
                }
                Err(error) => pause(&error).await,
            },
        }
    }
    // Probes are short: a client that is still connected is idle or too slow.
    connections.shutdown().await;
}

async fn pause(error: &io::Error) {
    tracing::debug!(%error, "admin connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn connection(stream: TcpStream, router: Router) {
    // axum::serve installs no timer, so its header timeout never fires.
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION, serving).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection failed"),
    }
}

/// The endpoints of a service.
pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .fallback(mounted)
        .with_state(admin)
}

pub(crate) fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn mounted(State(admin): State<Admin>, request: Request) -> Response {
    admin.mounted.answer(request).await
}

async fn livez(State(admin): State<Admin>) -> impl IntoResponse {
    (status(admin.heartbeat.is_alive()), Json(heartbeat_json(&admin)))
}

pub(crate) fn heartbeat_json(admin: &Admin) -> Value {
    let age_ms = u64::try_from(admin.heartbeat.age().as_millis()).unwrap_or(u64::MAX);
    json!({ "heartbeat_age_ms": age_ms })
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let report = admin.readiness.report().await;
    (status(report.ready), Json(readiness_json(&admin, &report)))
}

pub(crate) fn readiness_json(admin: &Admin, report: &Report) -> Value {
    json!({
        "service": admin.service,
        "ready": report.ready,
        "degraded": report.degraded,
        "draining": report.draining,
        "checks": report.checks,
    })
}

async fn startupz(State(admin): State<Admin>) -> impl IntoResponse {
    let started = has_started(&admin).await;
    (status(started), Json(json!({ "started": started })))
}

pub(crate) async fn has_started(admin: &Admin) -> bool {
    admin.readiness.has_started() || admin.readiness.report().await.ready
}

async fn metrics(State(admin): State<Admin>, request: Request) -> impl IntoResponse {
    let exposed = flotilla_telemetry::expose(&admin.registry, accepted(&request));
    ([(header::CONTENT_TYPE, exposed.content_type)], exposed.body)
}

/// The formats that a scraper accepts.
pub(crate) fn accepted(request: &Request) -> Option<&str> {
    request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok())
}

async fn version(State(admin): State<Admin>) -> impl IntoResponse {
    Json(version_json(admin.service))
}

pub(crate) fn version_json(name: &str) -> Value {
    json!({
        "service": name,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("FLOTILLA_COMMIT").unwrap_or("unknown"),
    })
}
