use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_servers::{Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions};

use crate::support::{Ground, is_alive, until};

/// Servers whose parent is killed end too: this test kills such a parent, which is this binary run again.
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
    let layout = &Ground::new().await.layout;
    assert!(layout.sweep(&format!("it-{}-", parent.id())).unwrap() >= 3);
}

#[tokio::test]
#[ignore = "not a test of its own: it waits to be killed by another"]
async fn a_parent_to_be_killed() {
    let mut ground = Ground::new().await;
    let names = ["postgres", "nats", "redis"].map(|server| ground.name(server));
    let (binaries, layout) = (&ground.binaries, &ground.layout);
    let postgres = Postgres::start(binaries, layout, &names[0], PostgresOptions::default()).await.unwrap();
    let nats = Nats::start(binaries, layout, &names[1], NatsOptions::default()).await.unwrap();
    let redis = Redis::start(binaries, layout, &names[2], RedisOptions::default()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&postgres.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    println!("pids {} {} {} {backend}", postgres.pid(), nats.pid(), redis.pid());
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// The next owner of a name waits for the server of one who was killed, so that never two work on one data folder.
#[tokio::test]
async fn the_next_owner_ends_what_a_killed_one_left() {
    let mut ground = Ground::new().await;
    let name = ground.name("nats");
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
    let mut nats = Nats::start(&ground.binaries, &ground.layout, &name, NatsOptions::default()).await.unwrap();
    assert!(!is_alive(left));
    nats.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "not a test of its own: it waits to be killed by another"]
async fn an_owner_to_be_killed() {
    let ground = Ground::new().await;
    let Ok(name) = std::env::var("FLOTILLA_TEST_NAME") else { return };
    let nats = Nats::start(&ground.binaries, &ground.layout, &name, NatsOptions::default()).await.unwrap();
    println!("pids {}", nats.pid());
    tokio::time::sleep(Duration::from_secs(60)).await;
}
