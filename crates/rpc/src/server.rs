//! The server: combines services, rules and settings, serves, and drains at shutdown.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use crate::health::HealthService;
use crate::layers::{self, Parts, Stack};
use crate::routes::{GrpcService, Routes};
use crate::tls::{Reveal, ServerTls, TlsError};
use crate::{AccessRules, HealthHandle, ServerSettings, connection, reflection};
use flotilla_auth::Authenticator;

/// Receive window of one call.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The maximum that HTTP/2 allows.
const MAX_WINDOW: u32 = (1 << 31) - 1;
/// Calls of a connection that may be cancelled before the server has processed them. The clients here are other
/// services, which cancel when their own callers do. That happens often, and must not close the connection for the
/// other callers on it.
const CANCELLED_CALLS: usize = 16 * 1024;
/// Calls that may be reset because of frames sent after their end, over the life of a connection.
const RESET_CALLS: usize = 1 << 20;
/// The largest header list that a client may send (the h2 default of 16 MiB invites abuse).
const MAX_HEADERS: u32 = 16 * 1024;
/// How long aborted connections may take to close.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// Serving failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors for reflection are invalid.
    #[error("reflection could not be set up: {0}")]
    Reflection(String),
    /// The transport failed.
    #[error("gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The server's certificate can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Builds a gRPC server: add services, then [`serve`](Self::serve).
pub struct Server {
    settings: ServerSettings,
    authenticator: Option<Authenticator>,
    rules: AccessRules,
    registry: Registry,
    routes: Routes,
    services: Vec<String>,
    health: HealthHandle,
}

impl Server {
    /// A server without services. Without an authenticator only public methods can be called.
    pub fn new(
        settings: &ServerSettings,
        authenticator: Option<Authenticator>,
        rules: AccessRules,
        registry: &Registry,
    ) -> Self {
        Self {
            settings: settings.clone(),
            authenticator,
            rules,
            registry: registry.clone(),
            routes: Routes::default(),
            services: Vec::new(),
            health: HealthHandle::new(),
        }
    }

    /// Adds a generated service. Its messages are limited by `max_message_bytes`.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "it adds a service, and takes no second server")]
    pub fn add<S: GrpcService>(mut self, service: S) -> Self {
        self.services.push(S::NAME.to_owned());
        self.routes.add(service);
        self
    }

    /// Sets whether this is production: reflection is off there unless the settings ask for it.
    #[must_use]
    pub fn in_production(mut self, production: bool) -> Self {
        self.settings.reflection.get_or_insert(!production);
        self
    }

    /// The switch of the health service; starts as not serving.
    pub fn health(&self) -> HealthHandle {
        self.health.clone()
    }

    /// The server's settings.
    pub fn settings(&self) -> &ServerSettings {
        &self.settings
    }

    /// The whole stack as a tower service, for other transports. Once `shutdown` is cancelled,
    /// streams end.
    ///
    /// # Errors
    /// The descriptors for reflection are invalid.
    #[allow(clippy::type_complexity, reason = "a tower service, all of its bounds given")]
    pub fn into_service(
        self,
        shutdown: &CancellationToken,
    ) -> Result<
        impl Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future = impl Future<Output = Result<http::Response<Body>, Infallible>> + Send + use<>,
        > + Clone
        + Send
        + Sync
        + use<>,
        ServeError,
    > {
        self.stack(shutdown)
    }

    fn stack(self, shutdown: &CancellationToken) -> Result<Stack, ServeError> {
        let health = HealthService::new(self.health, self.services.clone(), shutdown.clone());
        let mut routes = self.routes;
        routes.add(tonic_health::pb::health_server::HealthServer::new(health));
        if self.settings.reflection.unwrap_or(true) {
            reflection::add(&mut routes, &self.services).map_err(|error| ServeError::Reflection(error.to_string()))?;
        }
        let parts = Parts {
            settings: &self.settings,
            authenticator: self.authenticator,
            rules: &self.rules,
            services: &self.services,
            registry: &self.registry,
            draining: shutdown.clone(),
        };
        Ok(layers::compose(routes.build(), parts))
    }

    /// Serves on `listener` until `shutdown` is cancelled; then ends streams, telling their clients to reconnect, and
    /// lets calls in flight end, at most for the drain grace, after which their connections are broken.
    ///
    /// # Errors
    /// The certificate can't be used, or the transport failed.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), ServeError> {
        let settings = self.settings.clone();
        let health = self.health();
        let stack = self.stack(&shutdown)?;
        let kill = CancellationToken::new();
        let tls = settings.tls.as_ref().map(ServerTls::load).transpose()?;
        let local = listener.local_addr().ok().and_then(|address| settings.local.listen(address));
        let incoming = connection::incoming(listener, local, settings.max_connections, kill.clone(), tls);
        let serving = transport(&settings).serve_with_incoming_shutdown(
            Reveal::new(stack),
            incoming,
            shutdown.clone().cancelled_owned(),
        );
        tokio::pin!(serving);
        let overdue = async {
            shutdown.cancelled().await;
            health.set_serving(false);
            tokio::time::sleep(settings.drain_grace.0).await;
        };
        tokio::select! {
            ended = &mut serving => return Ok(ended?),
            () = overdue => {}
        }
        tracing::warn!("aborting the calls that did not end within the drain grace");
        kill.cancel();
        match tokio::time::timeout(KILL_GRACE, serving).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("services", &self.services).finish_non_exhaustive()
    }
}

fn transport(settings: &ServerSettings) -> tonic::transport::Server {
    // As large as the windows of all calls together, so that an unread call blocks no other.
    let window = STREAM_WINDOW.saturating_mul(settings.max_calls_per_connection).min(MAX_WINDOW);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(settings.keepalive_interval.0))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout.0))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(window)
        .http2_max_pending_accept_reset_streams(Some(CANCELLED_CALLS))
        .http2_max_local_error_reset_streams(Some(RESET_CALLS))
        .max_concurrent_streams(settings.max_calls_per_connection)
        .http2_max_header_list_size(MAX_HEADERS)
}
