use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use flotilla_servers::{Postgres, PostgresOptions};
use tokio_postgres::{Client, NoTls};

use crate::support::{Fixture, is_alive, until};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL accepts us");
    tokio::spawn(connection);
    client
}

async fn show(client: &Client, setting: &str) -> String {
    client.query_one(&format!("SHOW {setting}"), &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn it_responds_and_is_durable_by_default() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let mut postgres =
        Postgres::start(&fixture.binaries, &fixture.layout, &name, PostgresOptions::default()).await.unwrap();
    let client = connect(&postgres.url("postgres")).await;
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("server_encoding", "UTF8"),
        ("max_connections", "200"),
    ] {
        assert_eq!(show(&client, setting).await, value, "{setting}");
    }
    if fixture.binaries.sources.contains("wheel") {
        assert_eq!(show(&client, "shared_preload_libraries").await, "pg_stat_statements");
    }
    assert!(postgres.is_running() && postgres.start_time() > Duration::ZERO);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn kill_and_restart_keep_the_data_and_the_port() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let mut postgres =
        Postgres::start(&fixture.binaries, &fixture.layout, &name, PostgresOptions::default()).await.unwrap();
    let (port, pid) = (postgres.port(), postgres.pid());
    let client = connect(&postgres.url("postgres")).await;
    client.batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").await.unwrap();
    postgres.kill().await;
    assert!(!is_alive(pid) && !postgres.is_running());

    for _ in 0..2 {
        postgres.restart().await.unwrap();
        assert_eq!(postgres.port(), port);
        assert_ne!(postgres.pid(), pid);
        let client = connect(&postgres.url("postgres")).await;
        let n: i32 = client.query_one("SELECT n FROM kept", &[]).await.unwrap().get(0);
        assert_eq!(n, 7);
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_owner_of_a_name_finds_the_data_of_the_previous_one() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let first = Postgres::start(&fixture.binaries, &fixture.layout, &name, PostgresOptions::default()).await.unwrap();
    connect(&first.url("postgres")).await.batch_execute("CREATE TABLE kept (n int)").await.unwrap();
    // Dropped without a stop, it leaves its postmaster.pid, which must not prevent the next start.
    drop(first);
    let mut second =
        Postgres::start(&fixture.binaries, &fixture.layout, &name, PostgresOptions::default()).await.unwrap();
    connect(&second.url("postgres")).await.batch_execute("SELECT n FROM kept").await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_no_error() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = holder.local_addr().unwrap().port();
    let options = PostgresOptions { port: Some(taken), ..PostgresOptions::default() };
    let mut postgres = Postgres::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    assert_ne!(postgres.port(), taken);
    connect(&postgres.url("postgres")).await;
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn two_run_side_by_side_and_stop_leaves_no_process() {
    let mut fixture = Fixture::new().await;
    let (one, two) = (fixture.name("postgres"), fixture.name("postgres"));
    let (one, two) = tokio::join!(
        Postgres::start(&fixture.binaries, &fixture.layout, &one, PostgresOptions::default()),
        Postgres::start(&fixture.binaries, &fixture.layout, &two, PostgresOptions::default()),
    );
    let (mut one, mut two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.port(), two.port());
    connect(&one.url("postgres")).await.batch_execute("CREATE DATABASE only_here").await.unwrap();
    let client = connect(&two.url("postgres")).await;
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let found = client.query_opt("SELECT 1 FROM pg_database WHERE datname = 'only_here'", &[]).await.unwrap();
    assert!(found.is_none());

    one.stop().await.unwrap();
    two.stop().await.unwrap();
    for pid in [one.pid(), two.pid(), backend.unsigned_abs()] {
        assert!(!is_alive(pid));
    }
}

#[tokio::test]
async fn a_dropped_server_is_killed() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let postgres =
        Postgres::start(&fixture.binaries, &fixture.layout, &name, PostgresOptions::default()).await.unwrap();
    let pid = postgres.pid();
    drop(postgres);
    until("the dropped server is gone", Duration::from_secs(120), || !is_alive(pid)).await;
}

#[tokio::test]
async fn a_client_without_the_password_is_refused() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let options = PostgresOptions { password: Some("s3cret-word".into()), ..PostgresOptions::default() };
    let mut postgres = Postgres::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap();
    connect(&postgres.url("postgres")).await;
    let without = postgres.url("postgres").replace(":s3cret-word", "");
    assert!(tokio_postgres::connect(&without, NoTls).await.is_err());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_error_for_invalid_settings_has_the_servers_reason() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let settings = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let options = PostgresOptions { settings, ..PostgresOptions::default() };
    let error = Postgres::start(&fixture.binaries, &fixture.layout, &name, options).await.unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error:#}");
}

#[tokio::test]
async fn wiped_data_is_gone() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("postgres");
    let mut postgres =
        Postgres::start(&fixture.binaries, &fixture.layout, &name, PostgresOptions::default()).await.unwrap();
    connect(&postgres.url("postgres")).await.batch_execute("CREATE TABLE lost (n int)").await.unwrap();
    assert!(postgres.wipe_data().is_err());
    postgres.stop().await.unwrap();
    postgres.wipe_data().unwrap();
    postgres.restart().await.unwrap();
    assert!(connect(&postgres.url("postgres")).await.batch_execute("SELECT n FROM lost").await.is_err());
    postgres.stop().await.unwrap();
}
