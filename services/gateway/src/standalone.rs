//! The gateway in front of services with other contracts: no chassis, no cache, no accounts; only public methods.

use std::sync::Arc;

use flotilla_auth::{AuthSettings, Authenticator, StaticKeys};
use flotilla_proto::policy;
use flotilla_rpc::tls::ServerTls;
use flotilla_rpc::{AccessRules, ClientMetrics, ClientSettings, Rate, RateLimiter, Server, ServerSettings};
use flotilla_telemetry::Registry;
use prost_reflect::DescriptorPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::backend::Backends;
use crate::client_address::TrustedProxies;
use crate::config::EdgeSettings;
use crate::cors::Cors;
use crate::edge::{Edge, Limits};
use crate::metrics::Metrics;
use crate::request_id::RequestIds;
use crate::response_cache::ResponseCache;
use crate::routes::RouteTable;
use crate::server::{self, PublicPort};
use crate::site::Site;
use crate::system::System;

/// Builds a standalone gateway.
#[derive(Debug)]
pub struct Standalone {
    /// The contract. The option `flotilla.options.v1.policy` of each method defines who may call it.
    pub pool: DescriptorPool,
    /// Addresses of its services (`http://host:port`), by the second part of their package's name.
    pub backends: Vec<(&'static str, String)>,
    /// Settings of the client that calls them.
    pub client: ClientSettings,
    /// Limits of the port, and its certificate if it uses TLS.
    pub grpc: ServerSettings,
    /// Further limits.
    pub edge: EdgeSettings,
    /// Whether the gateway's own errors omit details: a test suite that counts details expects only those of its
    /// service.
    pub bare_errors: bool,
}

impl Standalone {
    /// Serves until `shutdown` is cancelled.
    ///
    /// # Errors
    /// The contract, an address or the certificate is invalid.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { pool, backends, client, grpc, edge: limits, bare_errors } = self;
        let registry = Registry::new();
        let mut policies = policy::of(&pool);
        policies.retain(|policy| policy.access.is_some());
        let routes = RouteTable::new(&pool, &policies)?;
        let mut empty = grpc.clone();
        (empty.reflection, empty.tls) = (Some(false), None);
        let own = Server::new(&empty, None, AccessRules::new(), &registry);
        let system = System::new(own.into_service(&shutdown)?, false, &pool, &routes)?;
        let admission = Arc::new(Admission::new(&grpc, &limits, &registry)?);
        let edge = Edge {
            cache: ResponseCache::default(),
            site: Site::new(&routes),
            routes,
            backends: Backends::new(
                backends.iter().map(|(name, url)| (*name, url.as_str())),
                &client,
                &ClientMetrics::register(&registry),
            )?,
            authenticator: Authenticator::new(&AuthSettings::default(), Arc::new(StaticKeys::new([]))),
            system,
            metrics: Metrics::register(&registry)?,
            limits: Limits {
                max_body: grpc.max_message_bytes,
                deadline: grpc.default_deadline.0,
                heartbeat: limits.heartbeat.0,
                stream_window: admission.memory.windows(0).stream as usize,
                bare_errors,
            },
            cors: Cors::new(&limits.cors_origins),
            proxies: TrustedProxies::default(),
            addresses: Arc::new(RateLimiter::new(|| Rate { per_second: 0, burst: 1 }, 1)),
            resets: Arc::new(RateLimiter::new(limits.reset_rate(), grpc.rate_limit.keys)),
            ids: RequestIds::new(rand::random()),
            admission,
            draining: shutdown.clone(),
        };
        let tls = grpc.tls.as_ref().map(ServerTls::public).transpose()?;
        server::serve(listener, PublicPort { edge: Arc::new(edge), settings: grpc, limits, tls }, shutdown).await
    }
}
