//! A private PostgreSQL with a password, and a Vault engine that creates its roles.

use std::path::Path;
use std::time::Duration;

use flotilla_config::SecretString;
use flotilla_postgres::{RolePasswords, bootstrap_with_passwords};
use flotilla_servers::{Layout, Postgres, PostgresOptions, provision};
use tokio_postgres::{NoTls, Row};

use crate::bao::Bao;

const SUPERUSER: &str = "superuser-password";

/// A database whose roles Vault creates.
pub struct Database {
    server: Postgres,
    service: &'static str,
    /// Where the engine is mounted.
    pub mount: String,
    /// The owner's address.
    pub owner: SecretString,
    bao: Bao,
}

impl Database {
    /// With the roles `<service>_owner`, `<service>_system` and `<service>_user`, whose passwords aren't used.
    pub async fn start(bao: &Bao, service: &'static str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla");
        let layout = Layout::open(&root).unwrap();
        let binaries = provision(&layout, &|line| eprintln!("{line}")).await.unwrap();
        if let Err(error) = layout.sweep("vault-test-") {
            eprintln!("not all was swept: {error}");
        }
        let settings = vec![("fsync".to_owned(), "off".to_owned())];
        let options = PostgresOptions { settings, password: Some(SUPERUSER.to_owned()), ..Default::default() };
        let server = Postgres::start(&binaries, &layout, &bao.name("vault-test"), options).await.unwrap();
        let password = || SecretString::from("unused".to_owned());
        let passwords = RolePasswords { owner: password(), system: password(), user: password() };
        let urls = bootstrap_with_passwords(&server.url("postgres"), service, service, &passwords).await.unwrap();

        let mount = bao.name("database");
        bao.run(&["secrets", "enable", &format!("-path={mount}"), "database"]).await;
        let url = format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/{service}", server.port());
        bao.run(&[
            "write",
            &format!("{mount}/config/{service}"),
            "plugin_name=postgresql-database-plugin",
            &format!("connection_url={url}?sslmode=disable"),
            "username=postgres",
            &format!("password={SUPERUSER}"),
            "allowed_roles=*",
        ])
        .await;
        Self { server, service, mount, owner: urls.owner, bao: bao.clone() }
    }

    /// A role of the engine whose credentials are members of `<service>_<member>`.
    pub async fn role(&self, member: &str, lasts: &str, longest: &str) {
        let make = format!(
            "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' IN ROLE {}_{member};",
            self.service
        );
        self.bao
            .run(&[
                "write",
                &format!("{}/roles/{member}", self.mount),
                &format!("db_name={}", self.service),
                &format!("creation_statements={make}"),
                &format!("default_ttl={lasts}"),
                &format!("max_ttl={longest}"),
            ])
            .await;
    }

    /// A reference to the database's URL with the credentials of a role.
    pub fn reference(&self, role: &str) -> String {
        let (mount, place) = (&self.mount, self.place());
        format!("vault://{mount}/creds/{role}#postgres://{{username}}:{{password}}@{place}")
    }

    /// Host, port and name.
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}/{}", self.server.port(), self.service)
    }

    pub async fn run(&self, sql: &str) -> Vec<Row> {
        let (client, connection) = tokio_postgres::connect(&self.server.url(self.service), NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let rows = client.query(sql, &[]).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        rows
    }

    /// Whether the role exists.
    pub async fn has_role(&self, name: &str) -> bool {
        !self.run(&format!("SELECT FROM pg_roles WHERE rolname = '{name}'")).await.is_empty()
    }

    pub async fn stop(mut self) {
        // So that Vault doesn't keep trying to remove roles that are gone with their server.
        self.bao.run(&["lease", "revoke", "-force", "-prefix", &format!("{}/", self.mount)]).await;
        self.server.kill().await;
        self.server.wipe_data().unwrap();
    }
}

/// The user that this URL logs in as, if the login succeeds.
pub async fn user_of(url: &str) -> Result<String, String> {
    let work = async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let row = client.query_one("SELECT current_user::text", &[]).await?;
        drop(client);
        let _ = connection.await;
        Ok::<String, tokio_postgres::Error>(row.get(0))
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), work).await;
    answer.map_err(|_| "no answer in time".to_owned())?.map_err(|error| format!("{error:?}"))
}
