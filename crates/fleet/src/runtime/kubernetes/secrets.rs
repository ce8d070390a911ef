//! `fleet cluster-secrets`: creates random credentials as Kubernetes secrets, unless they exist.
//!
//! Runs in a pod whose service account may only `create` secrets, so it can't read existing ones; a second run changes
//! nothing. With `--print` it contacts no cluster and prints the objects for `kubectl create -f -`.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use flotilla_secrets::{Cluster, Creation, SecretsSettings};
use flotilla_servers::authorization;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::{
    DATABASES,
    credentials::{
        nats_users,
        secrets::{OPERATOR, nats_passwords, password, roles},
    },
};

/// The label of all secrets.
const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/part-of", "flotilla"), ("app.kubernetes.io/managed-by", "fleet-cluster-secrets")];

/// Options of `fleet cluster-secrets`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Host and port of PostgreSQL in the addresses.
    #[arg(long, default_value = "postgres:5432")]
    pub postgres: String,
    /// Omit the superuser's secret, if PostgreSQL is operated elsewhere.
    #[arg(long)]
    pub without_superuser: bool,
    /// Host and port of NATS in the addresses.
    #[arg(long, default_value = "nats:4222")]
    pub nats: String,
    /// Host and port of Redis in the address.
    #[arg(long, default_value = "redis:6379")]
    pub redis: String,
    /// Print the secrets instead of creating them: `... --print | kubectl create -f -`.
    #[arg(long)]
    pub print: bool,
    /// Namespace (default: the pod's own).
    #[arg(long)]
    pub namespace: Option<String>,
    /// Address of the API server.
    #[arg(long, default_value = "https://kubernetes.default.svc")]
    pub server: String,
    /// CA file that verifies the API server's certificate (default: the pod's own).
    #[arg(long)]
    pub authority: Option<PathBuf>,
    /// File with the access token (default: that of the pod's service account).
    #[arg(long)]
    pub token: Option<PathBuf>,
}

/// A secret's fields by name.
type Fields = BTreeMap<String, SecretString>;

/// Creates each secret that doesn't exist, and prints which.
///
/// # Errors
/// When the API server can't be reached or refuses.
pub async fn run(options: &Options) -> Result<()> {
    let wanted = wanted(options);
    if options.print {
        for (name, fields) in &wanted {
            println!("---\n{:#}", object(name, fields));
        }
        return Ok(());
    }
    let mut settings = SecretsSettings::default();
    settings.kubernetes.address = Some(options.server.parse().context("--server is not an address")?);
    settings.kubernetes.ca.clone_from(&options.authority);
    settings.kubernetes.token_path.clone_from(&options.token);
    let cluster = Cluster::new(&settings);
    let namespace = match &options.namespace {
        Some(namespace) => namespace.clone(),
        None => cluster.own_namespace().await?,
    };
    for (name, fields) in &wanted {
        match cluster.create_secret(&namespace, name, &object(name, fields)).await? {
            Creation::Created => println!("secret {name} created"),
            Creation::Existed => println!("secret {name} already exists"),
        }
    }
    Ok(())
}

/// All secrets of a fleet, with new passwords.
fn wanted(options: &Options) -> Vec<(String, Fields)> {
    let mut all: Vec<_> =
        DATABASES.iter().map(|service| (format!("{service}-database"), database(service, &options.postgres))).collect();
    if !options.without_superuser {
        let password = password();
        let url = format!("postgres://postgres:{password}@{}/postgres", options.postgres);
        all.push((
            "postgres-superuser".to_owned(),
            fields([("username", "postgres".to_owned()), ("password", password), ("url", url)]),
        ));
    }
    all.push(("identity-admin".to_owned(), fields([("email", OPERATOR.to_owned()), ("password", password())])));
    all.push(("broker".to_owned(), nats(&options.nats)));
    all.push(("gateway-cache".to_owned(), cache(&options.redis)));
    all
}

fn fields<const N: usize>(pairs: [(&str, String); N]) -> Fields {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

/// The address of NATS for each service, the server's users and, for a cluster, the routes. All in one secret, so that
/// they come from the same run: the Job can't read secrets back.
fn nats(host: &str) -> Fields {
    let users = nats_users::users(&nats_passwords());
    let url = format!("nats://{host}");
    let mut all: Fields = users.iter().map(|user| (format!("{}-url", user.name), user.at(&url).into())).collect();
    all.insert("users.conf".to_owned(), authorization(&users).into());
    let password = password();
    let route = |number| format!("nats://routes:{password}@nats-{number}.nats-routes:6222");
    let routes: Vec<_> = (0..3).map(route).collect();
    let text = format!("authorization {{user: routes, password: {password:?}, timeout: 5}}\nroutes: {routes:?}\n");
    all.insert("routes.conf".to_owned(), text.into());
    all
}

/// The address of Redis with its password, and the server's configuration line with the password.
fn cache(host: &str) -> Fields {
    let password = password();
    fields([("redis-url", format!("redis://:{password}@{host}")), ("valkey.conf", format!("requirepass {password}\n"))])
}

/// The addresses of a service's three roles.
fn database(service: &str, host: &str) -> Fields {
    let [owner, system, user] = roles(service).map(|role| format!("postgres://{role}:{}@{host}/{service}", password()));
    fields([("owner-url", owner), ("system-url", system), ("user-url", user)])
}

/// The object as the API expects it.
fn object(name: &str, fields: &Fields) -> serde_json::Value {
    let texts: BTreeMap<_, _> = fields.iter().map(|(key, value)| (key, value.expose_secret())).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "labels": BTreeMap::from(LABELS) },
        "type": "Opaque",
        "stringData": texts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            postgres: "postgres:5432".to_owned(),
            nats: "nats:4222".to_owned(),
            redis: "redis:6379".to_owned(),
            without_superuser: false,
            print: true,
            namespace: None,
            server: String::new(),
            authority: None,
            token: None,
        }
    }

    #[test]
    fn each_database_has_three_roles_with_passwords_of_their_own() {
        let all: BTreeMap<_, _> = wanted(&options()).into_iter().collect();
        assert_eq!(all.len(), DATABASES.len() + 4);
        let mut passwords = std::collections::BTreeSet::new();
        for service in DATABASES {
            let fields = &all[&format!("{service}-database")];
            for (key, role) in ["owner-url", "system-url", "user-url"].into_iter().zip(roles(service)) {
                let url = fields[key].expose_secret();
                let rest = url.strip_prefix(&format!("postgres://{role}:")).unwrap();
                passwords.insert(rest.strip_suffix(&format!("@postgres:5432/{service}")).unwrap().to_owned());
            }
        }
        assert_eq!(passwords.len(), 3 * DATABASES.len());
        assert!(passwords.iter().all(|password| password.len() >= 24));
    }

    #[test]
    fn the_superusers_address_bears_the_password_beside_it() {
        let all: BTreeMap<_, _> = wanted(&options()).into_iter().collect();
        let superuser = &all["postgres-superuser"];
        let password = superuser["password"].expose_secret();
        let url = format!("postgres://postgres:{password}@postgres:5432/postgres");
        assert_eq!(superuser["url"].expose_secret(), url);
        let without = wanted(&Options { without_superuser: true, ..options() });
        assert!(without.iter().all(|(name, _)| name != "postgres-superuser"));
    }

    #[test]
    fn the_servers_know_the_passwords_that_the_services_come_with() {
        let all: BTreeMap<_, _> = wanted(&options()).into_iter().collect();
        let broker = &all["broker"];
        let known = broker["users.conf"].expose_secret();
        for service in crate::SERVICES {
            let url = broker[&format!("{service}-url")].expose_secret();
            let rest = url.strip_prefix(&format!("nats://{service}:")).unwrap();
            let password = rest.strip_suffix("@nats:4222").unwrap();
            assert!(known.contains(&format!("{{user: {service:?}, password: {password:?}")), "{service}");
        }
        let cache = &all["gateway-cache"];
        let url = cache["redis-url"].expose_secret();
        let password = url.strip_prefix("redis://:").and_then(|rest| rest.strip_suffix("@redis:6379")).unwrap();
        assert_eq!(cache["valkey.conf"].expose_secret(), format!("requirepass {password}\n"));
    }

    #[test]
    fn an_object_is_what_the_api_takes() {
        let object = object("identity-admin", &fields([("email", OPERATOR.to_owned())]));
        assert_eq!(object["kind"], "Secret");
        assert_eq!(object["metadata"]["name"], "identity-admin");
        assert_eq!(object["stringData"]["email"], OPERATOR);
    }
}
