//! Wires the gateway together and hands it to the chassis.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_auth::Authenticator;
use flotilla_cache::TwoLevelCache;
use flotilla_cgroup::Limits;
use flotilla_clock::OsRandom;
use flotilla_proto::caches;
use flotilla_rpc::tls::ServerTls;
use flotilla_rpc::{AccessRules, Channel, ClientMetrics, RateLimiter, Server};
use flotilla_service::{Chassis, Common, Running, Service, Severity};
use flotilla_telemetry::Telemetry;
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::admission::Admission;
use crate::backend::Backends;
use crate::client_address::TrustedProxies;
use crate::config::Settings;
use crate::cors::Cors;
use crate::edge::{self, Edge};
use crate::metrics::Metrics;
use crate::request_id::RequestIds;
use crate::response_cache::ResponseCache;
use crate::routes::RouteTable;
use crate::server::{self, PublicPort};
use crate::site::Site;
use crate::system::System;

/// How long a service's health check may take.
const PROBE: Duration = Duration::from_millis(800);

/// Of limited memory, one part in so many is for cached responses.
const CACHE_PART: u64 = 16;

/// The gateway as a service of the fleet.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

impl Service for Gateway {
    const NAME: &'static str = "gateway";

    type Settings = Settings;

    fn common(settings: &Settings) -> Common<'_> {
        settings.process.common().calling(&settings.calls)
    }

    async fn build(settings: Settings, telemetry: &Telemetry) -> anyhow::Result<Running> {
        let registry = telemetry.registry();
        let mut chassis = Chassis::new(Self::NAME, &settings.process.service, registry);
        let deadline = settings.process.grpc.default_deadline.get();
        let mut policy = settings.cache.policy(settings.edge.product_ttl.clone(), deadline);
        policy.memory = Limits::of_process().pieces(settings.cache.memory.bytes(), 1, CACHE_PART) as u64;
        let cache = TwoLevelCache::connect(caches::PRODUCTS, &settings.cache, policy, Arc::new(OsRandom), registry);
        let backends =
            Backends::new(settings.backends.iter(), &settings.calls.client, &ClientMetrics::register(registry))?;
        watch_backends(&mut chassis, &backends);
        if let Some(cache) = &cache {
            watch_cache(&mut chassis, cache);
        }

        // Health follows the chassis's readiness; the rest of this server stays empty.
        let mut empty = settings.process.grpc.clone();
        empty.reflection = Some(false);
        let own = Server::new(&empty, None, AccessRules::new(), registry);
        let health = own.health();

        let authenticator = chassis.authenticator(&settings.calls.auth, &settings.calls.client)?;
        let edge = edge(&settings, telemetry, own, backends, cache, authenticator, chassis.draining())?;
        let tls = settings.process.grpc.tls.as_ref().map(ServerTls::public).transpose()?;
        let listen = settings.process.grpc.listen;
        let port = PublicPort { edge: Arc::new(edge), settings: settings.process.grpc, limits: settings.edge, tls };
        let serve = move |listener, shutdown| server::serve(listener, port, shutdown);
        chassis.start_with(listen, Some(health), serve).await
    }
}

fn edge(
    settings: &Settings,
    telemetry: &Telemetry,
    own: Server,
    backends: Backends,
    cache: Option<TwoLevelCache<Bytes>>,
    authenticator: Authenticator,
    draining: CancellationToken,
) -> anyhow::Result<Edge> {
    let pool = flotilla_proto::descriptors::pool()?;
    let routes = RouteTable::from_pool(&pool)?;
    let reflection = settings.process.service.reflection(settings.process.grpc.reflection);
    let system = System::new(own.into_service(&draining)?, reflection, &pool, &routes)?;
    let admission = Arc::new(Admission::new(&settings.process.grpc, &settings.edge, telemetry.registry())?);
    Ok(Edge {
        cache: ResponseCache::new(cache, &routes)?,
        site: Site::new(&routes),
        routes,
        backends,
        authenticator,
        system,
        metrics: Metrics::register(telemetry.registry())?,
        limits: edge::Limits {
            max_body: settings.process.grpc.max_message_bytes,
            deadline: settings.process.grpc.default_deadline.0,
            heartbeat: settings.edge.heartbeat.0,
            stream_window: admission.memory.windows(0).stream as usize,
            bare_errors: false,
        },
        cors: Cors::new(&settings.edge.cors_origins),
        proxies: TrustedProxies::parse(&settings.edge.trusted_proxies).map_err(anyhow::Error::msg)?,
        addresses: Arc::new(RateLimiter::new(
            settings.process.grpc.rate_limit.address_rate(),
            settings.process.grpc.rate_limit.keys,
        )),
        resets: Arc::new(RateLimiter::new(settings.edge.reset_rate(), settings.process.grpc.rate_limit.keys)),
        ids: RequestIds::new(rand::random()),
        admission,
        draining,
    })
}

/// An unavailable service shows as degraded; the gateway still serves the others.
fn watch_backends(chassis: &mut Chassis, backends: &Backends) {
    for (name, channel) in backends.iter() {
        let channel = channel.clone();
        chassis.check(name, Severity::Degraded, move || probe(channel.clone()).boxed());
    }
}

async fn probe(channel: Channel) -> Result<(), String> {
    let mut client = HealthClient::new(channel);
    match tokio::time::timeout(PROBE, client.check(HealthCheckRequest::default())).await {
        Err(_) => Err("does not answer".to_owned()),
        Ok(Err(status)) => Err(status.message().to_owned()),
        Ok(Ok(answer)) if answer.get_ref().status == 1 => Ok(()),
        Ok(Ok(_)) => Err("is not serving".to_owned()),
    }
}

fn watch_cache(chassis: &mut Chassis, cache: &TwoLevelCache<Bytes>) {
    let probed = cache.clone();
    chassis.check_link("redis", move || if probed.is_up() { Ok(()) } else { Err("not connected".to_owned()) });
    let closed = cache.clone();
    chassis.on_drain(async move { closed.close().await });
}
