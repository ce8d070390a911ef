//! A private server for this test binary, and a fresh database for each test.

use std::future::Future;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flotilla_config::{ExposeSecret, Live, SecretString};
use flotilla_postgres::{Pool, PostgresSettings, ServiceUrls, bootstrap};
use flotilla_servers::{Binaries, Layout, Postgres, PostgresOptions, provision};
use prometheus::Registry;
use tokio::time::Instant;

static SUPERUSER_URL: OnceLock<String> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The service whose roles the tests use.
pub const SERVICE: &str = "tested";

/// The server's programs, fetched by whichever test comes first.
pub async fn server(name: &str) -> Postgres {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla");
    let layout = Layout::open(&root).unwrap();
    let binaries: Binaries = provision(&layout, &|line| eprintln!("{line}")).await.unwrap();
    // What killed runs left behind. Another test may be sweeping as well, then the rest is left to it.
    if let Err(error) = layout.sweep("postgres-crate-") {
        eprintln!("not all was swept: {error}");
    }
    let name = format!("postgres-crate-{name}-{}", std::process::id());
    let quick =
        [("fsync", "off"), ("deadlock_timeout", "100ms"), ("max_connections", "120"), ("shared_buffers", "32MB")];
    let settings = quick.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Postgres::start(&binaries, &layout, &name, PostgresOptions { settings, ..Default::default() }).await.unwrap()
}

/// The superuser's address of the server that the tests share. It lives on a runtime of its own, because each test's
/// ends with the test, and is ended by its guard with this process.
pub fn superuser_url() -> &'static str {
    SUPERUSER_URL.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = server("shared").await;
                send.send(server.url("postgres")).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receive.recv_timeout(Duration::from_secs(300)).unwrap()
    })
}

/// A fresh database.
pub struct Database {
    pub name: String,
    pub urls: ServiceUrls,
}

impl Database {
    pub async fn fresh() -> Self {
        let name = format!("{SERVICE}_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let url = tokio::task::spawn_blocking(superuser_url).await.unwrap();
        let urls = bootstrap(url, SERVICE, &name).await.unwrap();
        Self { name, urls }
    }

    /// Runs statements as the owner.
    pub async fn run(&self, sql: &str) {
        let (client, connection) =
            tokio_postgres::connect(self.urls.owner.expose_secret(), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    pub fn settings(&self) -> PostgresSettings {
        let ServiceUrls { owner, system, user } = self.urls.clone();
        PostgresSettings { pool_size: 4, ..PostgresSettings::new(owner, system, user) }
    }

    /// A pool as `<service>_system`.
    pub fn system(&self) -> Pool {
        self.pool("system", &self.urls.system, &self.settings())
    }

    /// A pool as `<service>_user`, of one connection, so that what one use leaves behind meets the next.
    pub fn user(&self) -> Pool {
        self.pool("user", &self.urls.user, &PostgresSettings { pool_size: 1, ..self.settings() })
    }

    pub fn pool(&self, name: &'static str, url: &SecretString, settings: &PostgresSettings) -> Pool {
        let url = Live::from(url.clone());
        Pool::connect(name, &url, settings, &Registry::new()).unwrap()
    }

    /// A table of numbers that everybody may use.
    pub async fn with_numbers() -> Self {
        let database = Self::fresh().await;
        database
            .run(
                "CREATE TABLE numbers (id int PRIMARY KEY, value int NOT NULL CHECK (value >= 0));
                 GRANT ALL ON numbers TO tested_system, tested_user",
            )
            .await;
        database
    }
}

/// The server's process of the connection that answers.
pub const PID: &str = "SELECT pg_backend_pid()";

/// The numbers in the table.
pub async fn numbers(pool: &Pool) -> Vec<i32> {
    let rows = pool.query("SELECT id FROM numbers ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

/// Waits until something is so.
pub async fn eventually<F, Fut>(what: &str, mut is_so: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let end = Instant::now() + Duration::from_secs(120);
    while !is_so().await {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
