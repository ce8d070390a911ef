//! The gateway's settings.

use std::time::Duration;

use flotilla_cache::CacheSettings;
use flotilla_cgroup::Limits;
use flotilla_config::{ByteSize, HumanDuration, Live, Problems, Setting, Validate};
use flotilla_rpc::Rate;
use flotilla_service::{CallSettings, ProcessSettings};

use crate::client_address::TrustedProxies;

/// All sections. Variables: `FLOTILLA__<SECTION>__<FIELD>`.
#[derive(Debug, Clone, Setting)]
pub struct Settings {
    /// What every process has.
    #[setting(flatten)]
    pub process: ProcessSettings,
    /// Callers and calls.
    #[setting(flatten)]
    pub calls: CallSettings,
    /// Addresses of the services.
    pub backends: BackendSettings,
    /// The cache of product reads.
    #[setting(default)]
    pub cache: CacheSettings,
    /// The gateway's own settings.
    #[setting(default)]
    pub edge: EdgeSettings,
}

/// gRPC addresses (`http://host:port`) of the services.
#[derive(Debug, Clone, Setting)]
pub struct BackendSettings {
    /// Users and sign-in.
    pub identity: String,
    /// Products and stock.
    pub inventory: String,
    /// Orders.
    pub orders: String,
    /// Accounts.
    pub payments: String,
    /// Deliveries.
    pub notification: String,
}

impl BackendSettings {
    /// Each service with its address.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("identity", self.identity.as_str()),
            ("inventory", &self.inventory),
            ("orders", &self.orders),
            ("payments", &self.payments),
            ("notification", &self.notification),
        ]
        .into_iter()
    }
}

/// With less memory no request could be served.
const LEAST_MEMORY: ByteSize = ByteSize::mib(1);

/// Limits and times of the edge.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct EdgeSettings {
    /// Maximum memory of connections, requests and responses together. If memory is limited, at most a third of it.
    pub memory: ByteSize,
    /// Whether one address (IPv6: one /64) may hold only as many connections, slots and as much memory as stay free for
    /// others. Disable it behind a proxy that hides the clients' addresses.
    pub address_shares: bool,
    /// Maximum time for a client to send a request's headers, and the first bytes of a connection; a quarter of it
    /// while more than three quarters of all connections are in use. An idle HTTP/1.1 connection is closed after it.
    pub header_timeout: HumanDuration,
    /// How long an HTTP/2 connection may be idle; less if its slot is needed.
    pub idle_timeout: HumanDuration,
    /// How long a client may leave a response unread before its connection is closed.
    pub send_timeout: HumanDuration,
    /// Maximum number of connections per address; a further one replaces an idle one of that address, or is closed.
    pub max_connections_per_address: usize,
    /// Maximum number of requests whose body hasn't arrived; a further one evicts the oldest. If memory is limited, at
    /// most one per 240 KiB.
    pub max_arriving: usize,
    /// Number of calls of one caller (a user, or an address without a token) that each service processes at a time, per
    /// CPU of the gateway, and at least 3 in total. Further ones wait for their turn.
    pub concurrency_per_core: usize,
    /// Maximum number of unary calls in flight per user.
    pub max_calls_per_user: usize,
    /// Maximum number of open streams per address.
    pub max_streams_per_address: usize,
    /// Maximum number of open streams per user.
    pub max_streams_per_user: usize,
    /// Maximum number of open streams per user on the same resource.
    pub max_watches_per_user: usize,
    /// Maximum number of calls that a client may cancel on one connection within ten seconds; ten times as many on all
    /// connections of its address.
    pub max_resets: u32,
    /// Idle time after which an event stream gets a comment, so that proxies keep it open.
    pub heartbeat: HumanDuration,
    /// How long a cached product may be served after a change that didn't pass through this gateway.
    pub product_ttl: Live<HumanDuration>,
    /// Origins (`https://shop.example`) whose pages may send calls from a browser; `*` for all.
    pub cors_origins: Vec<String>,
    /// Trusted proxies in front of the gateway, as addresses or networks (`10.0.0.0/8`). The client's address is then
    /// the one that they added to `x-forwarded-for`; it is used for limits per address and passed to the services.
    pub trusted_proxies: Vec<String>,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        let seconds = |count| HumanDuration(Duration::from_secs(count));
        Self {
            memory: ByteSize::mib(256),
            address_shares: true,
            header_timeout: seconds(15),
            idle_timeout: seconds(300),
            send_timeout: seconds(30),
            max_connections_per_address: 256,
            max_arriving: 1024,
            concurrency_per_core: 1,
            max_calls_per_user: 100,
            max_streams_per_address: 1024,
            max_streams_per_user: 100,
            max_watches_per_user: 16,
            max_resets: 200,
            heartbeat: seconds(15),
            product_ttl: seconds(30).into(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// A caller's calls at work where there is little of a processor: most of a call's time isn't a processor's.
const LEAST_CONCURRENCY: usize = 3;
/// Over how many seconds cancelled calls are counted.
const RESETS_SECONDS: u32 = 10;

impl EdgeSettings {
    /// Calls of one caller that a service works on at a time.
    pub fn concurrency(&self) -> usize {
        let turns = (self.concurrency_per_core as f64 * Limits::of_process().cores).ceil() as usize;
        turns.max(LEAST_CONCURRENCY)
    }

    /// How many calls one address may cancel on all its connections.
    pub fn reset_rate(&self) -> impl Fn() -> Rate + Send + Sync + 'static {
        let per_second = if self.address_shares { self.max_resets } else { 0 };
        move || Rate { per_second, burst: per_second.saturating_mul(RESETS_SECONDS) }
    }
}

impl Validate for EdgeSettings {
    fn validate(&self, problems: &mut Problems) {
        // Longer timeouts are as good as none: a silent client would keep its connection.
        let longest = HumanDuration(Duration::from_secs(3_600));
        for (name, value) in [
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
            ("send_timeout", self.send_timeout),
            ("heartbeat", self.heartbeat),
        ] {
            let fits = !value.0.is_zero() && value <= longest;
            problems.require(fits, name, format!("must be longer than 0s and at most {longest}"));
        }
        problems.require(self.product_ttl.get() <= longest, "product_ttl", "must be at most 1h: prices change");
        problems.require(self.max_resets > 0, "max_resets", "must be at least 1: clients break calls off");
        if let Err(bad) = TrustedProxies::parse(&self.trusted_proxies) {
            problems.require(
                false,
                "trusted_proxies",
                format!("unknown network {bad:?}; use an address, or a network such as 10.0.0.0/8"),
            );
        }
        for (name, count) in [
            ("max_connections_per_address", self.max_connections_per_address),
            ("max_arriving", self.max_arriving),
            ("concurrency_per_core", self.concurrency_per_core),
            ("max_calls_per_user", self.max_calls_per_user),
            ("max_streams_per_address", self.max_streams_per_address),
            ("max_streams_per_user", self.max_streams_per_user),
            ("max_watches_per_user", self.max_watches_per_user),
        ] {
            problems.require(count > 0, name, "must be at least 1");
        }
        problems.require(self.memory >= LEAST_MEMORY, "memory", "must be at least 1MiB");
    }
}

impl Validate for Settings {}

impl Validate for BackendSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, url) in self.iter() {
            let sound = url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some());
            problems.require(sound, name, "must be an address such as http://host:port");
        }
    }
}
