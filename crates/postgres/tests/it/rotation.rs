//! Credentials that change while the pool is in use, on a server where everybody must log in.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flotilla_config::{ExposeSecret, Live, SecretString};
use flotilla_postgres::{Error, Pool, PostgresSettings, RolePasswords, bootstrap_with_passwords};
use flotilla_servers::{Layout, Postgres, PostgresOptions, provision};
use prometheus::Registry;
use tokio_postgres::NoTls;

use crate::support::{PID, eventually};

const SUPERUSER: &str = "superuser-password";
const CALLERS: u64 = 6;

/// A server with a database whose role `tested_system` logs in with a password.
struct Guarded {
    server: Postgres,
    settings: PostgresSettings,
}

impl Guarded {
    async fn start(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla");
        let layout = Layout::open(&root).unwrap();
        let binaries = provision(&layout, &|line| eprintln!("{line}")).await.unwrap();
        let name = format!("postgres-crate-{name}-{}", std::process::id());
        let settings = vec![("fsync".to_owned(), "off".to_owned())];
        let password = Some(SUPERUSER.to_owned());
        let options = PostgresOptions { settings, password, ..Default::default() };
        let server = Postgres::start(&binaries, &layout, &name, options).await.unwrap();
        let secret = |text: &str| SecretString::from(text.to_owned());
        let passwords = RolePasswords { owner: secret("owner"), system: secret("first"), user: secret("user") };
        let urls = bootstrap_with_passwords(&server.url("postgres"), "tested", "tested", &passwords).await.unwrap();
        let settings = PostgresSettings { pool_size: 4, ..PostgresSettings::new(urls.owner, urls.system, urls.user) };
        Self { server, settings }
    }

    fn pool(&self, settings: &PostgresSettings) -> Pool {
        Pool::connect("system", &settings.system_url, settings, &Registry::new()).unwrap()
    }

    /// Runs a statement as superuser.
    async fn run(&self, sql: &str) -> Vec<tokio_postgres::Row> {
        let (client, connection) = tokio_postgres::connect(&self.server.url("tested"), NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let rows = client.query(sql, &[]).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        rows
    }

    async fn change_password(&self, to: &str) {
        self.run(&format!("ALTER ROLE tested_system PASSWORD '{to}'")).await;
    }

    /// The processes of the server that serve the role.
    async fn sessions(&self) -> BTreeSet<i32> {
        let rows = self.run("SELECT pid FROM pg_stat_activity WHERE usename = 'tested_system'").await;
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn stop(mut self) {
        self.server.kill().await;
        self.server.wipe_data().unwrap();
    }
}

/// The address with another password.
fn with_password(url: &Live<SecretString>, former: &str, password: &str) -> SecretString {
    let former = format!(":{former}@");
    url.read(|url| {
        assert!(url.expose_secret().contains(&former));
        url.expose_secret().replace(&former, &format!(":{password}@")).into()
    })
}

async fn pid(pool: &Pool) -> Result<i32, Error> {
    pool.query(PID, &[]).await?[0].get(0)
}

/// Callers that call until they are told to stop; how many calls came through.
fn load(pool: &Pool, stop: &Arc<AtomicBool>, done: &Arc<AtomicU64>) -> Vec<tokio::task::JoinHandle<Result<(), Error>>> {
    (0..CALLERS)
        .map(|_| {
            let (pool, stop, done) = (pool.clone(), Arc::clone(stop), Arc::clone(done));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let tx = pool.begin().await?;
                    tx.query(PID, &[]).await?;
                    tx.commit().await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_rotated_under_load_fails_no_call() {
    let guarded = Guarded::start("rotation").await;
    let settings = &guarded.settings;
    let pool = guarded.pool(settings);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers = load(&pool, &stop, &done);
    let in_flight = pool.begin().await.unwrap();
    let mut former = "first".to_owned();

    for round in 0..3 {
        let from = done.load(Ordering::Relaxed);
        eventually("calls go on", || async { done.load(Ordering::Relaxed) > from + 50 }).await;
        let before = guarded.sessions().await;
        assert!(!before.is_empty());
        let next = format!("password-{round}");
        guarded.change_password(&next).await;
        settings.system_url.set(with_password(&settings.system_url, &former, &next));
        former = next;
        // All but the one that is on loan.
        eventually("the former sessions are gone", || async {
            guarded.sessions().await.intersection(&before).count() <= 1
        })
        .await;
    }

    in_flight.query(PID, &[]).await.expect("what was on loan is left in peace");
    in_flight.commit().await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap().expect("no call failed");
    }
    guarded.stop().await;
}

#[tokio::test]
async fn a_role_that_is_replaced_by_another_takes_over_at_the_next_call() {
    let guarded = Guarded::start("roles").await;
    let settings = PostgresSettings { pool_size: 1, ..guarded.settings.clone() };
    let pool = guarded.pool(&settings);
    let before = pid(&pool).await.unwrap();
    guarded.run("CREATE ROLE lease_1 LOGIN PASSWORD 'leased' IN ROLE tested_system").await;
    let url = settings.system_url.read(|url| url.expose_secret().replace("tested_system:first@", "lease_1:leased@"));
    settings.system_url.set(url.into());
    assert_ne!(pid(&pool).await.unwrap(), before);
    let user: String = pool.query("SELECT current_user::text", &[]).await.unwrap()[0].get(0).unwrap();
    assert_eq!(user, "lease_1");
    eventually("the former session is closed", || async { guarded.sessions().await.is_empty() }).await;
    guarded.stop().await;
}

#[tokio::test]
async fn a_refusal_of_what_worked_waits_for_its_replacement_and_any_other_is_told_at_once() {
    let guarded = Guarded::start("refusal").await;
    let patient = PostgresSettings { connect_timeout: Duration::from_secs(60).into(), ..guarded.settings.clone() };

    let wrong =
        PostgresSettings { system_url: with_password(&patient.system_url, "first", "wrong").into(), ..patient.clone() };
    let pool = guarded.pool(&wrong);
    let refused = tokio::time::timeout(Duration::from_secs(20), pid(&pool)).await.expect("not waited for");
    assert_eq!(refused.unwrap_err().sql_state(), Some("28P01"));

    let pool = guarded.pool(&patient);
    let former = pid(&pool).await.unwrap();
    guarded.change_password("second").await;
    guarded.run(&format!("SELECT pg_terminate_backend({former})")).await;
    eventually("the session is gone", || async { guarded.sessions().await.is_empty() }).await;
    let caller = tokio::spawn({
        let pool = pool.clone();
        // The first may still find the lost connection in the pool.
        async move { flotilla_postgres::retry(Duration::from_secs(20), || pid(&pool)).await }
    });
    eventually("the caller is refused", || async { refusals(&guarded).await > 1 }).await;
    patient.system_url.set(with_password(&patient.system_url, "first", "second"));
    caller.await.unwrap().expect("the new password came in time");
    guarded.stop().await;
}

/// How often the server refused a password, by its log.
async fn refusals(guarded: &Guarded) -> usize {
    let log = tokio::fs::read_to_string(guarded.server.log()).await.unwrap_or_default();
    log.matches("password authentication failed").count()
}

#[tokio::test]
async fn an_address_that_cannot_be_understood_changes_nothing() {
    let guarded = Guarded::start("nonsense").await;
    let pool = guarded.pool(&guarded.settings);
    let before = pid(&pool).await.unwrap();
    guarded.settings.system_url.set("not an address".to_owned().into());
    assert_eq!(pid(&pool).await.unwrap(), before);
    guarded.stop().await;
}
