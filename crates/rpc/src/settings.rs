//! Settings of servers, clients and token checks, with their defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flotilla_config::{HumanDuration, Problems, Validate};
use serde::Deserialize;

/// How a gRPC server listens and what it allows.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address to listen on. Default `127.0.0.1:0` (any free port).
    pub listen: SocketAddr,
    /// Largest request message in bytes. Default 1 MiB.
    pub max_message_bytes: usize,
    /// Deadline of a unary call that brings none, and the longest that one may ask for. Default `10s`.
    pub default_deadline: HumanDuration,
    /// Whether the reflection service answers. Default true.
    pub reflection: bool,
    /// Connections served at once; further ones wait to be accepted. Default 1,024.
    pub max_connections: usize,
    /// Calls in flight on one connection. Default 1,024.
    pub max_calls_per_connection: u32,
    /// Unary calls in flight over all connections; further ones are refused. Default 2,048.
    pub max_calls: usize,
    /// Open streams over all connections; further ones are refused. Default 10,000.
    pub max_streams: usize,
    /// HTTP/2 ping interval. Default `20s`.
    pub keepalive_interval: HumanDuration,
    /// How long a ping may stay unanswered. Default `10s`.
    pub keepalive_timeout: HumanDuration,
    /// How long calls in flight may take after shutdown began. Default `8s`.
    pub drain_grace: HumanDuration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_message_bytes: 1024 * 1024,
            default_deadline: HumanDuration(Duration::from_secs(10)),
            reflection: true,
            max_connections: 1024,
            max_calls_per_connection: 1024,
            max_calls: 2048,
            max_streams: 10_000,
            keepalive_interval: HumanDuration(Duration::from_secs(20)),
            keepalive_timeout: HumanDuration(Duration::from_secs(10)),
            drain_grace: HumanDuration(Duration::from_secs(8)),
        }
    }
}

/// How a client reaches a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// How long a connection attempt may take. Default `2s`.
    pub connect_timeout: HumanDuration,
    /// Deadline of a unary call made outside of any other call. Default `10s`.
    pub default_deadline: HumanDuration,
    /// HTTP/2 ping interval, also while idle: finds silent partitions. Default `10s`.
    pub keepalive_interval: HumanDuration,
    /// How long a ping may stay unanswered before the connection is given up. Default `5s`.
    pub keepalive_timeout: HumanDuration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: HumanDuration(Duration::from_secs(2)),
            default_deadline: HumanDuration(Duration::from_secs(10)),
            keepalive_interval: HumanDuration(Duration::from_secs(10)),
            keepalive_timeout: HumanDuration(Duration::from_secs(5)),
        }
    }
}

/// Which tokens are accepted and where the keys come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// Expected `iss`. Default `flotilla-identity`.
    pub issuer: String,
    /// Expected `aud`. Default `flotilla`.
    pub audience: String,
    /// gRPC address of identity, from which the keys are fetched. Default `http://127.0.0.1:7101`.
    pub identity_url: String,
    /// Verified tokens remembered until they expire. Default 10,000.
    pub token_cache: usize,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            issuer: "flotilla-identity".to_owned(),
            audience: "flotilla".to_owned(),
            identity_url: "http://127.0.0.1:7101".to_owned(),
            token_cache: 10_000,
        }
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
        for (name, duration) in [
            ("default_deadline", self.default_deadline),
            ("keepalive_interval", self.keepalive_interval),
            ("keepalive_timeout", self.keepalive_timeout),
        ] {
            problems.require(!duration.0.is_zero(), name, "must be longer than 0s");
        }
    }
}

impl Validate for ClientSettings {
    fn validate(&self, problems: &mut Problems) {
        for (name, duration) in [
            ("connect_timeout", self.connect_timeout),
            ("default_deadline", self.default_deadline),
            ("keepalive_interval", self.keepalive_interval),
            ("keepalive_timeout", self.keepalive_timeout),
        ] {
            problems.require(!duration.0.is_zero(), name, "must be longer than 0s");
        }
    }
}

impl Validate for AuthSettings {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.issuer.is_empty(), "issuer", "must be set");
        problems.require(!self.audience.is_empty(), "audience", "must be set");
        problems.require(!self.identity_url.is_empty(), "identity_url", "must be set");
        problems.require(self.token_cache > 0, "token_cache", "must be at least 1");
    }
}
