//! The state of the running fleet, published by its supervisor in `.flotilla/state.json`.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use flotilla_checker::Stores;
use flotilla_config::unknown;
use serde::{Deserialize, Serialize};

use super::Home;
use crate::{DATABASES, SERVICES};

/// The phase of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase", content = "detail")]
pub enum Phase {
    /// Starting; the text describes the current step.
    Starting(String),
    /// Every service is ready.
    Ready,
    /// It failed to start, and the supervisor has exited.
    Failed(String),
    /// It was stopped.
    Stopped,
}

/// A service or a server of the fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Service or server.
    pub name: String,
    /// Its process id; absent while it isn't running.
    pub pid: Option<u32>,
    /// Where it listens: the gRPC address of a service, the URL of a server.
    pub address: String,
    /// Admin URL of a service; with a path, if it shares the port with others.
    pub admin: Option<String>,
    /// Time from start to ready, in milliseconds.
    pub start_ms: Option<u64>,
    /// Restarts since the fleet came up.
    pub restarts: u32,
    /// Whether it is a service (or else a server).
    pub is_service: bool,
    /// The process that it shares with others, if it does.
    #[serde(default)]
    pub process: Option<String>,
}

impl Member {
    /// The name of its process: its own, unless it shares one.
    #[must_use]
    pub fn process(&self) -> &str {
        self.process.as_deref().unwrap_or(&self.name)
    }
}

/// The whole fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The supervisor's process id.
    pub supervisor: u32,
    /// Its phase.
    #[serde(flatten)]
    pub phase: Phase,
    /// Servers first, then services.
    pub members: Vec<Member>,
    /// Address of PostgreSQL for a superuser, without a database.
    pub postgres_url: String,
    /// Address of NATS for the fleet's own commands, with user and password.
    #[serde(default)]
    pub nats_url: String,
    /// Address of Redis, with its password.
    #[serde(default)]
    pub redis_url: String,
    /// Where the servers' binaries came from.
    pub sources: String,
    /// The folder of the certificates, if the fleet uses TLS.
    #[serde(default)]
    pub certificates: Option<PathBuf>,
}

impl State {
    /// Reads the last state; `None` if there is none.
    ///
    /// # Errors
    /// If the file exists and can't be read.
    pub fn read(home: &Home) -> Result<Option<Self>> {
        match fs::read(home.state()) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).context("state.json is damaged: run `make reset`")?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The state of a fleet that is up.
    ///
    /// # Errors
    /// When it isn't.
    pub fn of_running(home: &Home) -> Result<Self> {
        if home.is_running()?
            && let Some(state) = Self::read(home)?
            && state.phase == Phase::Ready
        {
            return Ok(state);
        }
        bail!("the fleet isn't up: run `make up` first")
    }

    /// Finds a member by its name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn member(&self, name: &str) -> Result<&Member> {
        let names = || self.members.iter().map(|member| member.name.as_str());
        let found = self.members.iter().find(|member| member.name == name);
        found.with_context(|| unknown("service or server", name, names()))
    }

    /// Host and port of a service's admin endpoints, and the path below which they are.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn admin(&self, service: &str) -> Result<&str> {
        let url = self.members.iter().find(|member| member.name == service).and_then(|member| member.admin.as_deref());
        url.map(|url| url.trim_start_matches("http://")).with_context(|| unknown("service", service, SERVICES))
    }

    /// The URL of a service's gRPC port (and of REST, for the gateway).
    ///
    /// # Errors
    /// When there is no such member.
    pub fn url(&self, service: &str) -> Result<String> {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.member(service)?.address))
    }

    /// A service's address for display: with its scheme if it isn't plain HTTP.
    #[must_use]
    pub fn shown(&self, service: &Member) -> String {
        if self.certificates.is_some() { format!("https://{}", service.address) } else { service.address.clone() }
    }

    /// Address of NATS for the fleet's own commands. A fleet that was started by an earlier version has no passwords.
    ///
    /// # Errors
    /// If there is no NATS.
    pub fn broker_url(&self) -> Result<&str> {
        if self.nats_url.is_empty() { Ok(&self.member("nats")?.address) } else { Ok(&self.nats_url) }
    }

    /// The databases and the broker, as the checker reads them.
    ///
    /// # Errors
    /// If there is no NATS.
    pub fn stores(&self) -> Result<Stores> {
        let database = |service: &str| (service.to_owned(), self.database_url(service));
        let (databases, nats_url) = (DATABASES.map(database).into(), self.broker_url()?.to_owned());
        Ok(Stores { databases, nats_url, absent_consumers: BTreeSet::new() })
    }

    /// The state for display, without the servers' passwords.
    ///
    /// # Errors
    /// If it can't be encoded as JSON.
    pub fn to_json(&self) -> Result<String> {
        let mut shown = self.clone();
        for url in [&mut shown.postgres_url, &mut shown.nats_url, &mut shown.redis_url] {
            *url = without_password(url);
        }
        Ok(serde_json::to_string_pretty(&shown)?)
    }

    /// A superuser's URL of a service's database.
    #[must_use]
    pub fn database_url(&self, service: &str) -> String {
        with_database(&self.postgres_url, service)
    }
}

/// An address for display: with the user's name and without the password. A single word before the host is a token in
/// NATS addresses and a user's name in PostgreSQL addresses.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((credentials, host)) = rest[..end].rsplit_once('@') else { return url.to_owned() };
    let name = match credentials.split_once(':') {
        Some((name, _)) => name,
        None if scheme.starts_with("postgres") => credentials,
        None => "",
    };
    let at = if name.is_empty() { "" } else { "@" };
    format!("{scheme}://{name}{at}{host}{}", &rest[end..])
}

/// Puts a database's name into a PostgreSQL URL that has none or another.
#[must_use]
pub fn with_database(url: &str, database: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let start = base.find("://").map_or(0, |at| at + 3);
    let host_end = base[start..].find('/').map_or(base.len(), |at| start + at);
    let mut whole = format!("{}/{database}", &base[..host_end]);
    if let Some(query) = query {
        whole.push('?');
        whole.push_str(query);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_no_password() {
        for (url, shown) in [
            ("postgres://postgres:geheim@127.0.0.1:1/x", "postgres://postgres@127.0.0.1:1/x"),
            ("postgres://ann@h/x", "postgres://ann@h/x"),
            ("nats://orders:geheim@127.0.0.1:1", "nats://orders@127.0.0.1:1"),
            ("nats://geheim@127.0.0.1:1", "nats://127.0.0.1:1"),
            ("redis://:geheim@127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
            ("redis://:ge@heim@127.0.0.1:1", "redis://127.0.0.1:1"),
            ("nats://127.0.0.1:1", "nats://127.0.0.1:1"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_database_goes_into_any_url() {
        assert_eq!(with_database("postgres://u@h:1", "orders"), "postgres://u@h:1/orders");
        assert_eq!(with_database("postgres://u@h:1/x?a=b", "orders"), "postgres://u@h:1/orders?a=b");
    }
}
