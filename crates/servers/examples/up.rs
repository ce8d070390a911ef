//! Starts the three servers privately, prints where they are, and stops them on Ctrl-C or SIGTERM:
//! `cargo run -p flotilla-servers --example up [FOLDER]`.

use std::path::PathBuf;

use flotilla_servers::{Layout, Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions, provision};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let root = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(".flotilla"), PathBuf::from);
    let layout = Layout::open(&root)?;
    let binaries = provision(&layout, &|line| println!("{line}")).await?;
    println!("{} in {}", binaries.sources, layout.cache().display());
    let postgres = Postgres::start(&binaries, &layout, "example-postgres", PostgresOptions::default());
    let nats = Nats::start(&binaries, &layout, "example-nats", NatsOptions::default());
    let redis = Redis::start(&binaries, &layout, "example-redis", RedisOptions::default());
    let (mut postgres, mut nats, mut redis) = tokio::try_join!(postgres, nats, redis)?;
    println!("{} pid {} in {:?}", postgres.url("postgres"), postgres.pid(), postgres.start_time());
    println!("{} ({}) pid {} in {:?}", nats.url(), nats.monitor_url(), nats.pid(), nats.start_time());
    println!("{} pid {} in {:?}", redis.url(), redis.pid(), redis.start_time());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    redis.stop().await?;
    nats.stop().await?;
    postgres.stop().await
}
