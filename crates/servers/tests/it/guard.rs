use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_servers::{Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions};

use crate::support::{Fixture, is_alive, until};

/// The parent is this test binary, started again.
#[tokio::test]
async fn servers_end_when_their_parent_is_killed() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guard::a_parent_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("pids ")).expect("the parent starts its servers");
    let pids: Vec<u32> = line.split(' ').skip(1).map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 4);
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    parent.kill().unwrap();
    parent.wait().unwrap();
    until("all servers have ended", Duration::from_secs(120), || !pids.iter().any(|pid| is_alive(*pid))).await;
    let layout = &Fixture::new().await.layout;
    assert!(layout.sweep(&format!("it-{}-", parent.id())).unwrap() >= 3);
}

#[tokio::test]
#[ignore = "started and killed by another test"]
async fn a_parent_to_be_killed() {
    let mut fixture = Fixture::new().await;
    let names = ["postgres", "nats", "redis"].map(|server| fixture.name(server));
    let (binaries, layout) = (&fixture.binaries, &fixture.layout);
    let postgres = Postgres::start(binaries, layout, &names[0], PostgresOptions::default()).await.unwrap();
    let nats = Nats::start(binaries, layout, &names[1], NatsOptions::default()).await.unwrap();
    let redis = Redis::start(binaries, layout, &names[2], RedisOptions::default()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&postgres.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    println!("pids {} {} {} {backend}", postgres.pid(), nats.pid(), redis.pid());
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// So that two servers never run on one data folder.
#[tokio::test]
async fn the_next_owner_ends_the_server_of_a_killed_owner() {
    let mut fixture = Fixture::new().await;
    let name = fixture.name("nats");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guard::an_owner_to_be_killed", "--ignored", "--nocapture"])
        .env("FLOTILLA_TEST_NAME", &name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("pids ")).expect("the owner starts its server");
    let left: u32 = line.trim_start_matches("pids ").parse().unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    let mut nats = Nats::start(&fixture.binaries, &fixture.layout, &name, NatsOptions::default()).await.unwrap();
    assert!(!is_alive(left));
    nats.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "started and killed by another test"]
async fn an_owner_to_be_killed() {
    let fixture = Fixture::new().await;
    let Ok(name) = std::env::var("FLOTILLA_TEST_NAME") else { return };
    let nats = Nats::start(&fixture.binaries, &fixture.layout, &name, NatsOptions::default()).await.unwrap();
    println!("pids {}", nats.pid());
    tokio::time::sleep(Duration::from_secs(60)).await;
}
