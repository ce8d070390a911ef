//! Settings of clients, with their defaults.

use std::time::Duration;

use flotilla_config::{HumanDuration, Problems, Setting, Validate};

use crate::local::LocalLink;
use crate::tls::TlsSettings;

/// How a client reaches a server.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct ClientSettings {
    /// Maximum duration of a connection attempt, including TLS and the server's first frame.
    pub connect_timeout: HumanDuration,
    /// Maximum pause between attempts to reconnect while no call is waiting.
    pub reconnect_pause: HumanDuration,
    /// Deadline of a unary call outside any other call, if the method declares none.
    pub default_deadline: HumanDuration,
    /// HTTP/2 ping interval, even while idle; detects network partitions.
    pub keepalive_interval: HumanDuration,
    /// Maximum wait for the response to a ping before the connection is abandoned.
    pub keepalive_timeout: HumanDuration,
    /// Maximum number of connections per address for unary calls; another one is opened when all are full.
    pub call_connections: usize,
    /// Maximum number of connections per address for streams, which never share one with unary calls; another one is
    /// opened when all are full. Beyond it streams are refused.
    pub stream_connections: usize,
    /// Maximum number of streams per connection, if the server allows as many.
    pub streams_per_connection: u32,
    /// How often names are resolved again; this also happens when a connection fails.
    pub resolve_interval: HumanDuration,
    /// Maximum number of attempts of a retryable call, including the first.
    pub retry_attempts: u32,
    /// Retry budget: retries per hundred calls, plus a small reserve.
    pub retry_percent: u32,
    /// Maximum pause before the first retry; doubles with each further one.
    pub retry_pause: HumanDuration,
    /// Consecutive failures after which an address is ejected.
    pub eject_after: u32,
    /// Duration of the first ejection; doubles each time, up to 30 times as long.
    pub eject_for: HumanDuration,
    /// Percentage of failed calls at which the circuit breaker opens.
    pub breaker_percent: u32,
    /// Minimum number of calls within ten seconds for the circuit breaker to open.
    pub breaker_calls: u32,
    /// How long the circuit breaker stays open before a trial call.
    pub breaker_pause: HumanDuration,
    /// Certificate to show to servers at `https://` addresses, and the authority to judge theirs by.
    pub tls: Option<TlsSettings>,
    /// The network of the process, if it runs several services.
    #[setting(skip)]
    pub local: LocalLink,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: HumanDuration(Duration::from_secs(2)),
            reconnect_pause: HumanDuration(Duration::from_secs(5)),
            default_deadline: HumanDuration(Duration::from_secs(10)),
            keepalive_interval: HumanDuration(Duration::from_secs(10)),
            keepalive_timeout: HumanDuration(Duration::from_secs(5)),
            call_connections: 4,
            stream_connections: 64,
            streams_per_connection: 256,
            resolve_interval: HumanDuration(Duration::from_secs(5)),
            retry_attempts: 3,
            retry_percent: 20,
            retry_pause: HumanDuration(Duration::from_millis(25)),
            eject_after: 5,
            eject_for: HumanDuration(Duration::from_secs(1)),
            breaker_percent: 60,
            breaker_calls: 20,
            breaker_pause: HumanDuration(Duration::from_secs(1)),
            tls: None,
            local: LocalLink::default(),
        }
    }
}

impl Validate for ClientSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, duration) in [
            ("connect_timeout", self.connect_timeout),
            ("reconnect_pause", self.reconnect_pause),
            ("default_deadline", self.default_deadline),
            ("keepalive_interval", self.keepalive_interval),
            ("keepalive_timeout", self.keepalive_timeout),
            ("resolve_interval", self.resolve_interval),
            ("retry_pause", self.retry_pause),
            ("eject_for", self.eject_for),
            ("breaker_pause", self.breaker_pause),
        ] {
            problems.require(!duration.0.is_zero(), name, "must be longer than 0s");
        }
        for (name, count) in [
            ("retry_attempts", self.retry_attempts),
            ("eject_after", self.eject_after),
            ("breaker_percent", self.breaker_percent),
            ("breaker_calls", self.breaker_calls),
        ] {
            problems.require(count > 0, name, "must be at least 1");
        }
        for (name, count) in [
            ("call_connections", self.call_connections),
            ("stream_connections", self.stream_connections),
            ("streams_per_connection", self.streams_per_connection as usize),
        ] {
            problems.require(count > 0, name, "must be at least 1");
        }
        problems.require(self.retry_percent <= 100, "retry_percent", "must be at most 100");
        problems.require(self.breaker_percent <= 100, "breaker_percent", "must be at most 100");
    }
}
