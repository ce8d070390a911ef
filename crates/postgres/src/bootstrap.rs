//! Sets up a service's database as a superuser, before its first migration.
//!
//! Owns the three roles `<service>_owner`, `<service>_system` and `<service>_user` and who may do what with the
//! database itself; grants on tables belong to the migrations, which find the service's name in the database's setting
//! `flotilla.service`. The set-up is idempotent and may run in several processes at once.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_config::{ExposeSecret, SecretString};
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::address::parse_url;
use crate::error::{Error, ErrorKind};
use crate::settings::PostgresSettings;

/// Advisory lock for creating roles, which belong to the whole cluster ("flotrole" in ASCII).
const ROLES_LOCK: i64 = 0x666c_6f74_726f_6c65;
/// First half of the advisory lock for setting up a database ("flot" in ASCII); the second half is the hash of its
/// name.
const DATABASE_LOCKS: i32 = 0x666c_6f74;
/// Maximum duration of the set-up.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The addresses of one service's database, one for each of its roles.
#[derive(Clone, Debug)]
pub struct ServiceUrls {
    /// As `<service>_owner`: migrations.
    pub owner: SecretString,
    /// As `<service>_system`: batches, relay, saga.
    pub system: SecretString,
    /// As `<service>_user`: subject to row-level security.
    pub user: SecretString,
}

/// Passwords of a service's roles; a cluster that trusts local connections needs none.
#[derive(Clone, Debug)]
pub struct RolePasswords {
    /// Password of `<service>_owner`.
    pub owner: SecretString,
    /// Password of `<service>_system`.
    pub system: SecretString,
    /// Password of `<service>_user`.
    pub user: SecretString,
}

/// Creates a service's roles without passwords, and its database; returns the addresses.
///
/// # Errors
/// The name has characters other than lower case letters, digits and underscores; there is no connection; or the server
/// refuses a statement.
pub async fn bootstrap(superuser_url: &str, service: &str, database: &str) -> Result<ServiceUrls, Error> {
    set_up(superuser_url, service, database, None).await
}

/// Like [`bootstrap`], and also sets the roles' passwords.
///
/// # Errors
/// Those of [`bootstrap`].
pub async fn bootstrap_with_passwords(
    superuser_url: &str,
    service: &str,
    database: &str,
    passwords: &RolePasswords,
) -> Result<ServiceUrls, Error> {
    set_up(superuser_url, service, database, Some(passwords)).await
}

/// Creates the database and the roles that a service's settings name, with the passwords in their addresses.
///
/// # Errors
/// Those of [`bootstrap`]; addresses that name other roles than `<service>_owner`, `_system` and `_user`, different
/// databases, or passwords for some of the roles only.
pub async fn bootstrap_for(
    superuser_url: &SecretString,
    service: &str,
    settings: &PostgresSettings,
) -> Result<(), Error> {
    let wanted = Wanted::of(service, settings)?;
    let superuser_url = superuser_url.expose_secret();
    set_up(superuser_url, service, &wanted.database, wanted.passwords.as_ref()).await.map(drop)
}

/// The database and the passwords that a service's addresses name.
struct Wanted {
    database: String,
    passwords: Option<RolePasswords>,
}

impl Wanted {
    fn of(service: &str, settings: &PostgresSettings) -> Result<Self, Error> {
        let addresses =
            [("owner", settings.owner()?), ("system", settings.system_url.get()), ("user", settings.user_url.get())];
        let (mut databases, mut passwords) = (BTreeSet::new(), Vec::new());
        for (suffix, url) in addresses {
            let config = parse_url(&url)?;
            let role = format!("{service}_{suffix}");
            if config.get_user() != Some(role.as_str()) {
                return Err(refuse(format!("postgres.{suffix}_url must name the role {role}")));
            }
            databases.insert(config.get_dbname().unwrap_or(&role).to_owned());
            passwords.extend(config.get_password().map(|p| String::from_utf8_lossy(p).into_owned()));
        }
        let database = databases.pop_first().filter(|_| databases.is_empty());
        let database = database.ok_or_else(|| refuse("the three addresses must name one database".to_owned()))?;
        let passwords = match <[String; 3]>::try_from(passwords) {
            Ok([owner, system, user]) => {
                Some(RolePasswords { owner: owner.into(), system: system.into(), user: user.into() })
            }
            Err(none) if none.is_empty() => None,
            Err(_) => return Err(refuse("either all three addresses carry a password or none".to_owned())),
        };
        Ok(Self { database, passwords })
    }
}

fn refuse(reason: String) -> Error {
    Error::new(ErrorKind::Other, reason)
}

async fn set_up(
    superuser_url: &str,
    service: &str,
    database: &str,
    passwords: Option<&RolePasswords>,
) -> Result<ServiceUrls, Error> {
    check_name(service)?;
    check_name(database)?;
    let config = parse_url(&SecretString::from(superuser_url.to_owned()))?;
    let work = async {
        let cluster = Session::open(config.clone()).await?;
        make_roles(&cluster.client, service, passwords).await?;
        // PostgreSQL doesn't serialize concurrent changes to a database's properties; they fail. The lock is held until
        // the session ends.
        let lock = "SELECT pg_advisory_lock($1, hashtext($2))";
        cluster.client.query(lock, &[&DATABASE_LOCKS, &database]).await?;
        make_database(&cluster.client, service, database).await?;
        let mut inside = config;
        inside.dbname(database);
        let inside = Session::open(inside).await?;
        own_schema(&inside.client, service).await
    };
    tokio::time::timeout(TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "the set-up of the database took too long")))?;
    let url = |role: &str, password: Option<&SecretString>| {
        with_role(superuser_url, &format!("{service}_{role}"), password, database)
    };
    Ok(ServiceUrls {
        owner: url("owner", passwords.map(|p| &p.owner))?,
        system: url("system", passwords.map(|p| &p.system))?,
        user: url("user", passwords.map(|p| &p.user))?,
    })
}

/// A direct connection with the task that drives it.
struct Session {
    client: Client,
    connection: tokio::task::JoinHandle<()>,
}

impl Session {
    async fn open(mut config: Config) -> Result<Self, Error> {
        config.connect_timeout(Duration::from_secs(5)).application_name("flotilla-bootstrap");
        let (client, connection) = config.connect(NoTls).await?;
        let connection = flotilla_telemetry::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "bootstrap connection ended");
            }
        });
        client.batch_execute("SET client_min_messages = warning").await?;
        Ok(Self { client, connection })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

async fn make_roles(client: &Client, service: &str, passwords: Option<&RolePasswords>) -> Result<(), Error> {
    client.batch_execute(&format!("SELECT pg_advisory_lock({ROLES_LOCK})")).await?;
    let roles = [
        ("owner", passwords.map(|p| &p.owner)),
        ("system", passwords.map(|p| &p.system)),
        ("user", passwords.map(|p| &p.user)),
    ];
    for (suffix, password) in roles {
        let role = format!("{service}_{suffix}");
        if client.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role]).await?.is_none() {
            let create =
                format!("CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS");
            // A process that doesn't take our lock may have created it first.
            unless(client.batch_execute(&create).await, &[SqlState::DUPLICATE_OBJECT, SqlState::UNIQUE_VIOLATION])?;
        }
        if let Some(password) = password {
            // The verifier that the server would compute: statements appear in its log and statistics, and passwords
            // must not.
            let verifier = scram_sha_256(password.expose_secret().as_bytes());
            client.batch_execute(&format!("ALTER ROLE {role} PASSWORD '{verifier}'")).await?;
        }
    }
    client.batch_execute(&format!("SELECT pg_advisory_unlock({ROLES_LOCK})")).await?;
    Ok(())
}

async fn make_database(client: &Client, service: &str, database: &str) -> Result<(), Error> {
    if client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&database]).await?.is_none() {
        let create = format!("CREATE DATABASE {database} OWNER {service}_owner");
        unless(client.batch_execute(&create).await, &[SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION])?;
    }
    client
        .batch_execute(&format!(
            "ALTER DATABASE {database} OWNER TO {service}_owner;
             ALTER DATABASE {database} SET flotilla.service = '{service}';
             REVOKE ALL ON DATABASE {database} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {database} TO {service}_system, {service}_user"
        ))
        .await?;
    Ok(())
}

async fn own_schema(client: &Client, service: &str) -> Result<(), Error> {
    client
        .batch_execute(&format!(
            "ALTER SCHEMA public OWNER TO {service}_owner;
             REVOKE ALL ON SCHEMA public FROM PUBLIC;
             GRANT USAGE ON SCHEMA public TO {service}_system, {service}_user"
        ))
        .await?;
    Ok(())
}

fn unless(result: Result<(), tokio_postgres::Error>, fine: &[SqlState]) -> Result<(), Error> {
    match result {
        Err(error) if error.code().is_some_and(|code| fine.contains(code)) => Ok(()),
        result => Ok(result?),
    }
}

/// Names are inserted into statements unquoted, so only plain ones are allowed.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 50 {
        return Ok(());
    }
    Err(refuse(format!("{name:?} is not a name of up to 50 lower case letters, digits and underscores")))
}

/// The superuser's address with another role and database; hosts, ports and options are kept.
fn with_role(
    superuser_url: &str,
    role: &str,
    password: Option<&SecretString>,
    database: &str,
) -> Result<SecretString, Error> {
    let (scheme, rest) = superuser_url
        .split_once("://")
        .ok_or_else(|| Error::new(ErrorKind::Other, "the superuser's address must be a postgres:// URL"))?;
    let (authority, tail) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let query = tail.find('?').map_or("", |at| &tail[at..]);
    let secret = password.map(|p| format!(":{}", percent_encode(p.expose_secret()))).unwrap_or_default();
    Ok(SecretString::from(format!("{scheme}://{role}{secret}@{hosts}/{database}{query}")))
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(superuser: &str, password: Option<&str>) -> String {
        let password = password.map(|p| SecretString::from(p.to_owned()));
        with_role(superuser, "orders_user", password.as_ref(), "orders").unwrap().expose_secret().to_owned()
    }

    #[test]
    fn a_roles_address_keeps_hosts_ports_and_options() {
        assert_eq!(
            url("postgres://postgres:pw@127.0.0.1:5433/postgres?sslmode=disable", None),
            "postgres://orders_user@127.0.0.1:5433/orders?sslmode=disable"
        );
        assert_eq!(url("postgresql://a:1,b:2", None), "postgresql://orders_user@a:1,b:2/orders");
        assert_eq!(url("postgres://p@h?x=1", None), "postgres://orders_user@h/orders?x=1");
    }

    #[test]
    fn a_password_survives_its_way_through_the_address() {
        let address = url("postgres://postgres@h:1/postgres", Some("p@ss/w:rd?é"));
        let config: Config = address.parse().unwrap();
        assert_eq!(config.get_password(), Some("p@ss/w:rd?é".as_bytes()));
        assert_eq!(config.get_user(), Some("orders_user"));
        assert_eq!(config.get_dbname(), Some("orders"));
    }

    #[test]
    fn names_that_would_need_quoting_are_refused() {
        for name in ["", "Orders", "1orders", "orders;drop", "or ders", "_x", &"x".repeat(51)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("orders_17").is_ok());
    }
}
