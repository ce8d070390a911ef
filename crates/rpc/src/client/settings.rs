//! Settings of clients, with their defaults.

use std::time::Duration;

use flotilla_config::{HumanDuration, Problems, Setting, Validate};

use crate::tls::TlsSettings;

/// How a client reaches a server.
#[derive(Debug, Clone, Setting)]
#[setting(default)]
pub struct ClientSettings {
    /// How long a connection attempt may take, TLS and the server's first word included.
    pub connect_timeout: HumanDuration,
    /// Longest pause between attempts to reconnect that no call waits for.
    pub reconnect_pause: HumanDuration,
    /// Deadline of a unary call made outside of any other call, where the method declares none.
    pub default_deadline: HumanDuration,
    /// HTTP/2 ping interval, also while idle: finds silent partitions.
    pub keepalive_interval: HumanDuration,
    /// How long a ping may stay unanswered before the connection is given up.
    pub keepalive_timeout: HumanDuration,
    /// Connections to one address for unary calls; another one is opened when all are full.
    pub call_connections: usize,
    /// Connections to one address for streams, which never share one with unary calls; another one is opened when all
    /// are full. Beyond this number streams are refused.
    pub stream_connections: usize,
    /// Streams on one connection, if the server allows as many.
    pub streams_per_connection: u32,
    /// How often names are resolved again; also done when a connection fails.
    pub resolve_interval: HumanDuration,
    /// How often a call that may be repeated is tried, the first time included.
    pub retry_attempts: u32,
    /// Retries for each hundred calls, on top of a small reserve.
    pub retry_percent: u32,
    /// Longest pause before the first retry; doubles with each further one.
    pub retry_pause: HumanDuration,
    /// Failures in a row after which an address is left alone for a while.
    pub eject_after: u32,
    /// For how long at first; doubles each time, up to 30 times as long.
    pub eject_for: HumanDuration,
    /// Failed calls of a hundred at which a service isn't called for a while.
    pub breaker_percent: u32,
    /// Calls within ten seconds below which the share of failures says nothing.
    pub breaker_calls: u32,
    /// How long a service isn't called before one call tries whether it has recovered.
    pub breaker_pause: HumanDuration,
    /// Certificate to show to servers at `https://` addresses, and the authority to judge theirs by.
    pub tls: Option<TlsSettings>,
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
