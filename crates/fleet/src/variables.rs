//! Checks the `FLOTILLA_...` environment variables: a variable that nothing reads has no effect, so it is refused.

use anyhow::{Result, bail};
use flotilla_config::{Reference, nearest, unknown};

use crate::{SERVERS, SERVICES};

/// Variables that the fleet command, services, scripts or tests read. Those of settings contain two underscores.
const KNOWN: [&str; 61] = [
    "FLOTILLA_ADMIN_EMAIL",
    "FLOTILLA_ADMIN_PASSWORD",
    "FLOTILLA_ATTACKS_SHORT",
    "FLOTILLA_BACKUP",
    "FLOTILLA_BACKUP_FOLDER",
    "FLOTILLA_BUDGET",
    "FLOTILLA_BUILD_CA",
    "FLOTILLA_BUILD_CARGO",
    "FLOTILLA_BUILD_NETWORK",
    "FLOTILLA_CLUSTER",
    "FLOTILLA_COMMIT",
    "FLOTILLA_COMPOSE",
    "FLOTILLA_COMPOSE_FILES",
    "FLOTILLA_COMPOSE_SECRETS",
    "FLOTILLA_CONFIG_DIR",
    "FLOTILLA_CONFIG_FILE",
    "FLOTILLA_DISK_SECONDS",
    "FLOTILLA_DOCKER",
    "FLOTILLA_ENVIRONMENT",
    "FLOTILLA_ENV_FILE",
    "FLOTILLA_FAULTS",
    "FLOTILLA_GATEWAY_URL",
    "FLOTILLA_HOME",
    "FLOTILLA_K8S_DEADLINE",
    "FLOTILLA_K8S_LOAD",
    "FLOTILLA_LOG_FILES",
    "FLOTILLA_LOG_SIZE",
    "FLOTILLA_NATS_URL",
    "FLOTILLA_OBSERVABILITY",
    "FLOTILLA_OBSERVABILITY_DIR",
    "FLOTILLA_OFFLINE",
    "FLOTILLA_ONE_PROCESS",
    "FLOTILLA_PASSWORD",
    "FLOTILLA_PULL",
    "FLOTILLA_REDIS_URL",
    "FLOTILLA_SECRETS_DIR",
    "FLOTILLA_SERVERS",
    "FLOTILLA_SERVERS_ROOT",
    "FLOTILLA_TEST_AWS_ADDRESS",
    "FLOTILLA_TEST_CHILD",
    "FLOTILLA_TEST_NAME",
    "FLOTILLA_TEST_PROMETHEUS",
    "FLOTILLA_TEST_SEED",
    "FLOTILLA_TEST_SEEDS",
    "FLOTILLA_TEST_USE",
    "FLOTILLA_TEST_VAULT_ADDRESS",
    "FLOTILLA_TEST_VAULT_PROGRAM",
    "FLOTILLA_TEST_VAULT_ROOT",
    "FLOTILLA_TLS",
    "FLOTILLA_TLS_AUTHORITY",
    "FLOTILLA_TLS_CERTIFICATE",
    "FLOTILLA_TLS_KEY",
    "FLOTILLA_TOKEN",
    "FLOTILLA_UPGRADE_CONTRACTED",
    "FLOTILLA_UPGRADE_N",
    "FLOTILLA_UPGRADE_NEXT",
    "FLOTILLA_UPGRADE_SABOTAGE",
    "FLOTILLA_USE_NATS_URL",
    "FLOTILLA_USE_POSTGRES_URL",
    "FLOTILLA_USE_REDIS_URL",
    "FLOTILLA_WORKER_THREADS",
];

const PREFIX: &str = "FLOTILLA_";

/// The prefix of variables with ports that Compose publishes.
const PORTS: &str = "FLOTILLA_PORT_";

/// Suffixes of the services' variables in `env`.
const OF_SERVICES: [&str; 3] = ["_GRPC", "_ADMIN", "_DATABASE_URL"];

/// The settings of a service.
#[must_use]
pub fn settings_of(service: &str) -> Reference {
    match service {
        "gateway" => Reference::of::<flotilla_gateway::Settings>(),
        "identity" => Reference::of::<flotilla_identity::Settings>(),
        "inventory" => Reference::of::<flotilla_inventory::Settings>(),
        "orders" => Reference::of::<flotilla_orders::Settings>(),
        "payments" => Reference::of::<flotilla_payments::Settings>(),
        _ => Reference::of::<flotilla_notification::Settings>(),
    }
}

/// Refuses the first variable that nothing reads. Unknown settings of all services (`FLOTILLA__...`) are refused by the
/// services themselves.
///
/// # Errors
/// The variable that was probably meant.
pub fn check(names: impl Iterator<Item = String>) -> Result<()> {
    for name in names.filter(|name| name.starts_with(PREFIX) && !name.starts_with("FLOTILLA__")) {
        match name[PREFIX.len()..].split_once("__") {
            Some((service, setting)) => of_one_service(&name, service, setting)?,
            None if is_known(&name) => {}
            None => {
                let all = KNOWN.into_iter().filter_map(|known| known.strip_prefix(PREFIX));
                let meant = nearest(&name[PREFIX.len()..], all);
                let meant = meant.map(|meant| format!("; did you mean {PREFIX}{meant}?"));
                bail!("unknown variable {name}{}", meant.unwrap_or_else(|| ": nothing reads it; unset it".to_owned()));
            }
        }
    }
    Ok(())
}

fn is_known(name: &str) -> bool {
    let of_a_service = |name: &str| {
        let bare = name.strip_prefix("FLOTILLA_").unwrap_or(name).to_lowercase();
        SERVICES.iter().any(|service| {
            bare.strip_prefix(service).is_some_and(|end| OF_SERVICES.contains(&end.to_uppercase().as_str()))
        })
    };
    KNOWN.contains(&name) || name.strip_prefix(PORTS).is_some_and(is_published) || of_a_service(name)
}

/// Whether the Compose file publishes a port under this name.
fn is_published(name: &str) -> bool {
    let bare = name.strip_suffix("_ADMIN");
    SERVICES.iter().any(|service| service.to_uppercase() == bare.unwrap_or(name))
        || SERVERS.iter().any(|server| server.to_uppercase() == name)
}

/// A setting of one service, such as `FLOTILLA_ORDERS__PLACING__WRITERS`.
fn of_one_service(name: &str, service: &str, setting: &str) -> Result<()> {
    if name.bytes().any(|letter| letter.is_ascii_lowercase()) {
        bail!("unknown variable {name}; did you mean {}?", name.to_uppercase());
    }
    let service = service.to_lowercase();
    if !SERVICES.contains(&&*service) {
        bail!("{} (in {name})", unknown("service", &service, SERVICES));
    }
    let reference = settings_of(&service);
    let dotted = setting.to_lowercase().replace("__", ".");
    let base = dotted.strip_suffix("_file").unwrap_or(&dotted);
    if [&*dotted, base].iter().any(|setting| reference.find(setting).is_some()) {
        return Ok(());
    }
    let all = reference.settings().iter().map(|setting| setting.name.as_str());
    let meant = nearest(&dotted, all).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    bail!("unknown setting {dotted} of {service} (in {name}){meant}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn refusal(name: &str) -> String {
        check([name.to_owned()].into_iter()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_variable_is_refused_with_a_suggestion() {
        for (name, expected) in [
            ("FLOTILLA_TSL", "did you mean FLOTILLA_TLS?"),
            ("FLOTILLA_OBSERVABLITY", "did you mean FLOTILLA_OBSERVABILITY?"),
            ("FLOTILLA_USE_POSTGRESS_URL", "did you mean FLOTILLA_USE_POSTGRES_URL?"),
            ("FLOTILLA_SOMETHING_ELSE", "nothing reads it"),
            ("FLOTILLA_PORT_GATEWAYS", "nothing reads it"),
            ("FLOTILLA_PORT_NATS_ADMIN", "nothing reads it"),
            ("FLOTILLA_orders__placing__writers", "did you mean FLOTILLA_ORDERS__PLACING__WRITERS?"),
            (
                "FLOTILLA_ORDERZ__PLACING__WRITERS",
                "unknown service \"orderz\"; use one of gateway, identity, inventory",
            ),
            ("FLOTILLA_ORDERS__PLACING__WRITER", "did you mean placing.writers?"),
            ("FLOTILLA_GATEWAY__PLACING__WRITERS", "unknown setting placing.writers of gateway"),
        ] {
            assert!(refusal(name).contains(expected), "{}", refusal(name));
        }
        let fine = [
            "HOME",
            "FLOTILLA_ORDERS__POSTGRES__USER_URL_FILE",
            "FLOTILLA__X__Y",
            "FLOTILLA_ORDERS_GRPC",
            "FLOTILLA_TLS",
            "FLOTILLA_PORT_NATS",
            "FLOTILLA_PORT_GATEWAY_ADMIN",
        ];
        check(fine.into_iter().map(str::to_owned)).unwrap();
    }

    /// Every variable named in scripts, pages and code must be known.
    #[test]
    fn every_variable_of_the_repository_is_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut texts = vec![
            fs::read_to_string(root.join("Makefile")).unwrap(),
            fs::read_to_string(root.join("README.md")).unwrap(),
        ];
        let mut folders: Vec<_> =
            ["scripts", "docs", "compose", "k8s", "crates", "services"].map(|name| root.join(name)).to_vec();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().is_some_and(|name| name != "variables.rs" && name != "mistakes.rs")
                    && let Ok(text) = fs::read_to_string(&path)
                {
                    texts.push(text);
                }
            }
        }
        for text in &texts {
            for found in text.split("FLOTILLA_").skip(1) {
                let end = found
                    .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
                    .unwrap_or(found.len());
                let name = format!("FLOTILLA_{}", &found[..end]);
                // Skip settings and prefixes of composed names.
                if name.contains("__") || name.ends_with('_') {
                    continue;
                }
                assert!(is_known(&name), "{name} isn't known");
            }
        }
    }
}
