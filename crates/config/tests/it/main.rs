//! Loading of settings, as a service does it.

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

#[derive(Debug, Setting)]
struct Settings {
    listen: SocketAddr,
    database: Database,
    #[setting(default)]
    cache: Cache,
    telemetry: Cache,
}

#[derive(Debug, Setting)]
struct Database {
    url: SecretString,
    #[setting(default = "eight")]
    size: u16,
    patience: HumanDuration,
    mode: Mode,
}

fn eight() -> u16 {
    8
}

#[derive(Debug, PartialEq, Setting)]
#[setting(rename_all = "lowercase")]
enum Mode {
    Slow,
    Fast,
}

#[derive(Debug, Default, Setting)]
#[setting(default)]
struct Cache {
    url: Option<SecretString>,
    hosts: Vec<String>,
    ready_file: Option<String>,
    share: f64,
    on: bool,
    ports: Vec<u16>,
    spare: Option<Database>,
    #[setting(skip)]
    uses: Uses,
}

/// Not a setting.
#[derive(Debug, Default)]
struct Uses(u32);

impl Validate for Database {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.size > 0, "size", "must be at least 1");
    }
}

impl Validate for Settings {}
impl Validate for Cache {}

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
