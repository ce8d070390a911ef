//! Loading of settings, as a service sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod layers;
mod mistakes;
mod mounted;
mod precedence;
mod problems;
mod secrets;
mod shop;

use std::net::SocketAddr;

use flotilla_config::{ConfigError, HumanDuration, Problems, SecretString, Setting, Validate, load_from};
use serde::Deserialize;

#[derive(Debug, Deserialize, Setting)]
#[serde(deny_unknown_fields)]
struct Settings {
    listen: SocketAddr,
    database: Database,
    #[serde(default)]
    cache: Cache,
    telemetry: Cache,
}

#[derive(Debug, Deserialize, Setting)]
#[serde(deny_unknown_fields)]
struct Database {
    url: SecretString,
    #[serde(default = "eight")]
    size: u16,
    patience: HumanDuration,
    mode: Mode,
}

fn eight() -> u16 {
    8
}

#[derive(Debug, Deserialize, PartialEq, Setting)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Slow,
    Fast,
}

/// Doesn't deny unknown fields itself.
#[derive(Debug, Default, Deserialize, Setting)]
#[serde(default)]
struct Cache {
    url: Option<SecretString>,
    hosts: Vec<String>,
    ready_file: Option<String>,
    share: f64,
    on: bool,
}

impl Validate for Database {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.size > 0, "size", "must be at least 1");
    }
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.section("database", &self.database);
    }
}

const GOOD: [(&str, &str); 4] = [
    ("FLOTILLA__LISTEN", "127.0.0.1:80"),
    ("FLOTILLA__DATABASE__URL", "postgres://u:hunter2@h/d"),
    ("FLOTILLA__DATABASE__PATIENCE", "5s"),
    ("FLOTILLA__DATABASE__MODE", "fast"),
];

fn load(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    load_from(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), None)
}

fn load_with(more: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let variables: Vec<_> =
        GOOD.iter().filter(|(name, _)| more.iter().all(|(n, _)| n != name)).chain(more).copied().collect();
    load(&variables)
}

fn problems(result: Result<Settings, ConfigError>) -> Vec<String> {
    match result.map(|settings| format!("{settings:?}")) {
        Err(ConfigError::Settings(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}
