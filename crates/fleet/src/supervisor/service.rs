//! One service under supervision: its settings, its start, its restarts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use flotilla_backup::restore;
use flotilla_messaging::NatsSettings;
use flotilla_postgres::ServiceUrls;
use flotilla_rpc::tls::TlsSettings;
use secrecy::ExposeSecret as _;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{
    addresses::Addresses,
    backoff::{FIRST_PAUSE, LONGEST_PAUSE},
    keep_alive::{self, RestartPolicy, Supervised},
    servers::Servers,
    shared_state::SharedState,
};
use crate::{ONE_PROCESS, SERVICES, certs, credentials::secrets::Secrets, home::Home, services::probe};

/// Longer than twenty tries for a lock take, and enough for a backfill of a developer's data.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(600);

/// The end of the variables of the setting that only migrations need.
const OWNER: &str = "__POSTGRES__OWNER_URL";

/// The prefix of the variables of settings.
const SETTING: &str = "FLOTILLA__";

/// What the multi-call binary calls all services in one process.
const ALL: &str = "all";

/// Environment variables of one service's process.
pub type Environment = BTreeMap<String, String>;

/// Settings of every service.
pub fn environments(
    home: &Home,
    addresses: &Addresses,
    databases: &BTreeMap<&'static str, ServiceUrls>,
    servers: &Servers,
    secrets: &Secrets,
) -> BTreeMap<&'static str, Environment> {
    let url = |service: &str| addresses.url(home, service);
    let stream_age = NatsSettings::default().stream_max_age.0;
    let mut all = BTreeMap::new();
    for name in SERVICES {
        let mut one = Environment::new();
        let mut set = |key: &str, value: String| drop(one.insert(format!("FLOTILLA__{key}"), value));
        set("GRPC__LISTEN", addresses.grpc(name));
        set("SERVICE__ADMIN_LISTEN", addresses.admin_listen(name));
        set("AUTH__IDENTITY_URL", url("identity"));
        set("REMOTE__NATS_URL", servers.nats_url_of(name));
        if let Some(database) = databases.get(name) {
            set("POSTGRES__OWNER_URL", database.owner.expose_secret().to_owned());
            set("POSTGRES__SYSTEM_URL", database.system.expose_secret().to_owned());
            set("POSTGRES__USER_URL", database.user.expose_secret().to_owned());
            set("NATS__URL", servers.nats_url_of(name));
            if let Some(longer) = restore::retention(home.root()) {
                set("NATS__RETENTION__OUTBOX", format!("{}s", longer.as_secs()));
                // A stream must keep its messages for at least this long.
                set("NATS__STREAM_MAX_AGE", format!("{}s", longer.max(stream_age).as_secs()));
            }
        }
        if home.faults() {
            set("SERVICE__FAULTS", "true".to_owned());
        }
        if home.tls() {
            set_certificates(&certs::settings(&certs::folder(home), name), name, &mut set);
        }
        match name {
            "gateway" => {
                for backend in SERVICES.into_iter().filter(|backend| *backend != "gateway") {
                    set(&format!("BACKENDS__{}", backend.to_uppercase()), url(backend));
                }
                set("CACHE__REDIS_URL", servers.redis_url.clone());
            }
            "inventory" => set("CACHE__REDIS_URL", servers.redis_url.clone()),
            "identity" => {
                set("ADMIN__EMAIL", secrets.admin_email.clone());
                set("ADMIN__PASSWORD", secrets.admin_password.clone());
            }
            "orders" => {
                set("CATALOGUE__INVENTORY_URL", url("inventory"));
            }
            _ => {}
        }
        one.extend(given(name, std::env::vars()));
        all.insert(name, one);
    }
    all
}

/// The certificate settings of a service: for its port, and for its calls to others. Identity calls no other service.
fn set_certificates(files: &TlsSettings, service: &str, set: &mut impl FnMut(&str, String)) {
    let ends: &[&str] = if service == "identity" { &["GRPC"] } else { &["GRPC", "CLIENT"] };
    for end in ends {
        for (field, path) in [("CERTIFICATE", &files.certificate), ("KEY", &files.key), ("AUTHORITY", &files.authority)]
        {
            set(&format!("{end}__TLS__{field}"), path.display().to_string());
        }
    }
}

/// The user's settings for one service: `FLOTILLA_ORDERS__PLACING__WRITERS` is orders' `FLOTILLA__PLACING__WRITERS`.
fn given(service: &str, variables: impl Iterator<Item = (String, String)>) -> Environment {
    let prefix = format!("FLOTILLA_{}__", service.to_uppercase());
    variables.filter_map(|(name, value)| Some((format!("FLOTILLA__{}", name.strip_prefix(&prefix)?), value))).collect()
}

/// The settings of all services for one process: those of one service have its name in them.
pub fn for_one_process(environments: &BTreeMap<&'static str, Environment>) -> Environment {
    let named = |service: &str, name: &str| match name.strip_prefix(SETTING) {
        Some(setting) => format!("FLOTILLA_{}__{setting}", service.to_uppercase()),
        None => name.to_owned(),
    };
    let all =
        environments.iter().flat_map(|(service, one)| one.iter().map(move |(name, value)| (service, name, value)));
    all.map(|(service, name, value)| (named(service, name), value.clone())).collect()
}

/// Migrates the databases of a process: that of a service, or those of all.
pub async fn migrate(home: &Home, name: &str, environment: &Environment) -> Result<()> {
    let log = home.open_log(name)?;
    let mut command = command(home, name, "migrate", environment)?;
    let run = command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).status();
    let status = tokio::time::timeout(MIGRATION_DEADLINE, run)
        .await
        .with_context(|| format!("the migration of {name} takes too long"))?
        .with_context(|| format!("can't start the migration of {name}"))?;
    if !status.success() {
        bail!("the migration of {name} failed ({status}); see {}", home.log(name).display());
    }
    Ok(())
}

/// A process and what it needs to start.
pub struct Member {
    /// The fleet's folder.
    pub home: Home,
    /// The service, or the process of all.
    pub name: &'static str,
    /// Host and port of its admin endpoints.
    pub admin: String,
    /// Its settings.
    pub environment: Environment,
}

impl Member {
    /// Runs the process and restarts it until `stop`, then terminates it.
    pub async fn keep_alive(self, shared: Arc<SharedState>, stop: CancellationToken) {
        keep_alive::keep_alive(&self, &self.home, &shared, &stop).await;
    }
}

impl Supervised for Member {
    const POLICY: RestartPolicy = RestartPolicy {
        first: FIRST_PAUSE,
        longest: LONGEST_PAUSE,
        long_life: Duration::from_secs(10),
        ready: Duration::from_millis(10),
    };

    fn name(&self) -> &'static str {
        self.name
    }

    fn command(&self) -> Result<Command> {
        command(&self.home, self.name, "serve", &self.environment)
    }

    async fn is_ready(&self) -> bool {
        probe::is_ready(&self.admin).await
    }
}

/// A process's command: the multi-call binary beside this one, or the binary that was chosen for a service.
fn command(home: &Home, process: &str, verb: &str, environment: &Environment) -> Result<Command> {
    let service = if process == ONE_PROCESS { ALL } else { process };
    let chosen = home.binary(service)?;
    let other = chosen.is_some();
    let path = chosen.map_or_else(|| std::env::current_exe().map(|own| own.with_file_name("flotilla")), Ok)?;
    if !path.exists() {
        bail!("{} is missing: run `make build`", path.display());
    }
    let mut command = Command::new(&path);
    command.args([service, verb]);
    if !other {
        command.envs(environment.iter().filter(|(name, _)| verb == "migrate" || !name.ends_with(OWNER)));
        return Ok(command);
    }
    // An older build refuses to start with an unknown setting, and may need the owner's address to serve.
    let listed = std::process::Command::new(&path).args([service, "settings"]).output();
    let listed = listed.with_context(|| format!("can't run {} to list its settings", path.display()))?;
    if !listed.status.success() {
        bail!("{} lists no settings of {service} ({})", path.display(), listed.status);
    }
    command.envs(known(environment, &String::from_utf8_lossy(&listed.stdout)));
    Ok(command)
}

/// The variables of settings that a build lists, and all that aren't settings.
fn known<'a>(environment: &'a Environment, listed: &str) -> impl Iterator<Item = (&'a String, &'a String)> {
    let names: BTreeSet<_> = listed.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let is_known = move |name: &str| {
        !name.starts_with("FLOTILLA__")
            || names.contains(name.strip_suffix("_FILE").unwrap_or(name))
            || names.contains(name)
    };
    environment.iter().filter(move |(name, _)| is_known(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_setting_reaches_the_service_that_it_names_and_no_other() {
        let variables = [("FLOTILLA_ORDERS__PLACING__WRITERS", "1"), ("FLOTILLA_ORDERS_GRPC", "x"), ("HOME", "/")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let orders = given("orders", variables.clone().into_iter());
        assert_eq!(orders, Environment::from([("FLOTILLA__PLACING__WRITERS".to_owned(), "1".to_owned())]));
        assert!(given("payments", variables.into_iter()).is_empty());
    }

    #[test]
    fn one_process_gets_the_settings_of_each_service_under_its_name() {
        let one = |pairs: &[(&str, &str)]| -> Environment {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let environments = BTreeMap::from([
            ("orders", one(&[("FLOTILLA__GRPC__LISTEN", "a"), ("RUST_BACKTRACE", "0")])),
            ("payments", one(&[("FLOTILLA__GRPC__LISTEN", "b"), ("RUST_BACKTRACE", "0")])),
        ]);
        let expected =
            [("FLOTILLA_ORDERS__GRPC__LISTEN", "a"), ("FLOTILLA_PAYMENTS__GRPC__LISTEN", "b"), ("RUST_BACKTRACE", "0")];
        assert_eq!(for_one_process(&environments), one(&expected));
    }

    #[test]
    fn an_older_build_is_given_only_the_settings_that_it_lists() {
        let names = ["FLOTILLA__GRPC__LISTEN", "FLOTILLA__NEW__KEY", "FLOTILLA__NATS__URL_FILE", "RUST_BACKTRACE"];
        let environment = names.map(|name| (name.to_owned(), String::new())).into();
        let listed = "  grpc.listen  FLOTILLA__GRPC__LISTEN=0.0.0.0:8080\n  nats.url (FLOTILLA__NATS__URL)\n";
        let known: Vec<_> = known(&environment, listed).map(|(name, _)| name.as_str()).collect();
        assert_eq!(known, ["FLOTILLA__GRPC__LISTEN", "FLOTILLA__NATS__URL_FILE", "RUST_BACKTRACE"]);
    }
}
