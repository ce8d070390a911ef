//! Settings of servers, with their defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flotilla_cgroup::Limits;
use flotilla_config::{ByteSize, HumanDuration, Live, Problems, Setting, Validate};

use crate::local::LocalLink;
use crate::rate::Rate;
use crate::tls::TlsSettings;

/// How a gRPC server listens and what it allows.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct ServerSettings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Maximum size of a request message in bytes.
    pub max_message_bytes: usize,
    /// Deadline of unary calls without one, and the maximum deadline.
    pub default_deadline: HumanDuration,
    /// Whether reflection is enabled. Default: yes, except in production (`service.environment`).
    pub reflection: Option<bool>,
    /// Responses of at least this size are compressed for clients that accept gzip; smaller ones would save no packet.
    /// 0: never.
    pub compress_above_bytes: ByteSize,
    /// How often one user or one address may call.
    pub rate_limit: RateLimitSettings,
    /// Maximum number of connections; further ones wait to be accepted.
    pub max_connections: usize,
    /// Maximum number of calls in flight per connection.
    pub max_calls_per_connection: u32,
    /// Maximum number of unary calls in flight over all connections; further ones are refused. If memory is limited, at
    /// most one per 256 KiB.
    pub max_calls: usize,
    /// Maximum number of open streams over all connections; further ones are refused. If memory is limited, at most one
    /// per 256 KiB.
    pub max_streams: usize,
    /// Maximum number of unary calls in flight per user; further ones are refused. 0: no limit.
    pub max_calls_per_user: usize,
    /// Maximum number of open streams per user; further ones are refused. 0: no limit.
    pub max_streams_per_user: usize,
    /// HTTP/2 ping interval.
    pub keepalive_interval: HumanDuration,
    /// Maximum wait for the response to a ping.
    pub keepalive_timeout: HumanDuration,
    /// How long calls in flight may take once the shutdown has begun.
    pub drain_grace: HumanDuration,
    /// Certificate of the server; without it the port is plain. Clients must then show one of their own, which tells
    /// who they are; of the gateway's public port they needn't.
    pub tls: Option<TlsSettings>,
    /// The network of the process, if it runs several services.
    #[setting(skip)]
    pub local: LocalLink,
}

/// The average memory of a unary call in bytes: request, response and overhead.
const CALL_BYTES: u64 = 64 * 1024;
/// The memory of an open stream, in bytes: its handler, its send buffer and its unread data.
const STREAM_BYTES: u64 = 64 * 1024;
/// The divisor of limited memory that gives the part of unary calls, and that of streams.
const CALLS_PART: u64 = 4;

/// The divisor of the memory that gives the maximum of one request.
const MESSAGE_PART: u64 = 8;

/// The largest request size that can be configured: one request must not exhaust the memory.
fn message_room(memory: Option<u64>) -> u64 {
    memory.map_or(u64::MAX, |memory| memory / MESSAGE_PART)
}

impl ServerSettings {
    /// Unary calls that may be in flight: `max_calls`, but no more than fit into a quarter of limited memory.
    #[must_use]
    pub fn calls_at_once(&self) -> usize {
        Limits::of_process().pieces(self.max_calls, CALL_BYTES, CALLS_PART)
    }

    /// Delayed refusals of one user; always bounded.
    pub(crate) fn held_calls_per_user(&self) -> usize {
        if self.max_calls_per_user == 0 { Self::default().max_calls_per_user } else { self.max_calls_per_user }
    }

    /// Streams that may be open: `max_streams`, but no more than fit into a quarter of limited memory.
    #[must_use]
    pub fn streams_at_once(&self) -> usize {
        Limits::of_process().pieces(self.max_streams, STREAM_BYTES, CALLS_PART)
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_message_bytes: 1024 * 1024,
            default_deadline: HumanDuration(Duration::from_secs(10)),
            reflection: None,
            compress_above_bytes: ByteSize::kib(2),
            rate_limit: RateLimitSettings::default(),
            max_connections: 1024,
            max_calls_per_connection: 1024,
            max_calls: 2048,
            max_streams: 10_000,
            max_calls_per_user: 128,
            max_streams_per_user: 128,
            keepalive_interval: HumanDuration(Duration::from_secs(20)),
            keepalive_timeout: HumanDuration(Duration::from_secs(10)),
            drain_grace: HumanDuration(Duration::from_secs(8)),
            tls: None,
            local: LocalLink::default(),
        }
    }
}

/// How often one user or one address may call. What comes at once after a rest may be twice what a second allows. The
/// defaults only keep one caller from taking a replica for itself.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct RateLimitSettings {
    /// Calls per second per user; 0: no limit.
    pub per_user: Live<u32>,
    /// Calls per second without a valid token per address; 0: no limit. Behind a gateway without mutual TLS, all such
    /// calls have the gateway's address.
    pub per_address: Live<u32>,
    /// Maximum number of users, and of addresses, that are tracked; beyond it the least recent callers are forgotten.
    pub keys: usize,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        Self { per_user: 10_000.into(), per_address: 50_000.into(), keys: 65_536 }
    }
}

impl RateLimitSettings {
    pub(crate) fn user_rate(&self) -> impl Fn() -> Rate + use<> {
        Self::rate(&self.per_user)
    }

    /// The current rate of one address.
    pub fn address_rate(&self) -> impl Fn() -> Rate + use<> {
        Self::rate(&self.per_address)
    }

    fn rate(per_second: &Live<u32>) -> impl Fn() -> Rate + use<> {
        let per_second = per_second.clone();
        move || {
            let per_second = per_second.get();
            Rate { per_second, burst: per_second.saturating_mul(2) }
        }
    }
}

impl Validate for RateLimitSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.keys > 0, "keys", "must be at least 1");
    }
}

impl Validate for ServerSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, count) in [
            ("max_message_bytes", self.max_message_bytes),
            ("max_connections", self.max_connections),
            ("max_calls_per_connection", self.max_calls_per_connection as usize),
            ("max_calls", self.max_calls),
            ("max_streams", self.max_streams),
        ] {
            problems.require(count > 0, name, "must be at least 1");
        }
        let hour = Duration::from_secs(3_600);
        for (name, duration, longest) in [
            ("default_deadline", self.default_deadline, hour),
            ("keepalive_interval", self.keepalive_interval, hour),
            ("keepalive_timeout", self.keepalive_timeout, hour),
            ("drain_grace", self.drain_grace, hour),
        ] {
            let fits = !duration.0.is_zero() && duration.0 <= longest;
            problems.require(fits, name, format!("must be longer than 0s and at most {}", HumanDuration(longest)));
        }
        let room = message_room(Limits::of_process().available_memory());
        problems.require(
            u64::try_from(self.max_message_bytes).is_ok_and(|bytes| bytes <= room),
            "max_message_bytes",
            format!("must be at most {room}, an eighth of the available memory"),
        );
    }
}
