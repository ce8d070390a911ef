//! The servers of a stack: PostgreSQL, NATS and Redis, on a runtime that outlives the tests' own.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use flotilla_servers::{
    External, Layout, Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions, provision,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;

use crate::nats;

/// Where all test processes keep binaries, data and logs.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.flotilla");
/// Prefix of the names of test servers.
const PREFIX: &str = "test-";
/// Number of stacks started in this process, so that each name is used once.
static STACKS: AtomicUsize = AtomicUsize::new(0);

/// A server that was started here, or one that the user runs.
pub(crate) enum Place<S> {
    Own(Arc<Mutex<S>>),
    External,
}

/// Running servers. Each test has its own runtime, which ends with it, so these run on a thread of their own.
pub(crate) struct Servers {
    runtime: Handle,
    end: CancellationToken,
    pub postgres: Place<Postgres>,
    pub nats: Place<Nats>,
    pub redis: Place<Redis>,
    /// Superuser's address of the database `postgres`.
    pub postgres_url: String,
    pub nats_url: String,
    pub redis_url: String,
}

impl Servers {
    /// Starts all three.
    pub async fn start() -> Result<Self> {
        let (sender, receiver) = oneshot::channel();
        let end = CancellationToken::new();
        let ended = end.clone();
        thread::Builder::new().name("test-servers".to_owned()).spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    // If the receiver is gone, the test has ended, and dropping the value stops the servers.
                    let _ = sender.send(launch(ended.clone()).await);
                    ended.cancelled().await;
                }),
                Err(error) => {
                    let _ = sender.send(Err(error.into()));
                }
            }
        })?;
        let started = receiver.await.context("the servers' thread ended")?;
        if started.is_err() {
            end.cancel();
        }
        started
    }

    /// Runs `action` with a server on the servers' runtime, to which its processes belong.
    pub async fn with<S, F, Fut, T>(&self, place: &Place<S>, action: F) -> T
    where
        S: Send + 'static,
        F: FnOnce(tokio::sync::OwnedMutexGuard<S>) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let Place::Own(server) = place else { panic!("tests must not stop the user's own servers") };
        let server = Arc::clone(server);
        self.runtime.spawn(async move { action(server.lock_owned().await).await }).await.unwrap()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

async fn launch(end: CancellationToken) -> Result<Servers> {
    let layout = Layout::open(Path::new(ROOT))?;
    if let Err(error) = layout.sweep(PREFIX) {
        eprintln!("leftovers of earlier test runs could not be removed: {error:#}");
    }
    let binaries = provision(&layout, &|line| eprintln!("{line}")).await?;
    let number = STACKS.fetch_add(1, Ordering::Relaxed);
    let name = |server: &str| format!("{PREFIX}{}-{number}-{server}", std::process::id());
    let external = External::for_tests();
    let (postgres_name, nats_name, redis_name) = (name("postgres"), name("nats"), name("redis"));

    let postgres = async {
        match external.postgres {
            Some(url) => Ok((Place::External, url)),
            None => Postgres::start(&binaries, &layout, &postgres_name, postgres_options()).await.map(|server| {
                let url = server.url("postgres");
                (own(server), url)
            }),
        }
    };
    let nats = async {
        match external.nats {
            Some(url) => Ok((Place::External, url)),
            None => Nats::start(&binaries, &layout, &nats_name, nats_options()).await.map(|server| {
                let url = server.url();
                (own(server), url)
            }),
        }
    };
    let redis = async {
        match external.redis {
            Some(url) => Ok((Place::External, url)),
            None => Redis::start(&binaries, &layout, &redis_name, redis_options()).await.map(|server| {
                let url = server.url();
                (own(server), url)
            }),
        }
    };
    let ((postgres, postgres_url), (nats, nats_url), (redis, redis_url)) = futures::try_join!(postgres, nats, redis)?;
    Ok(Servers { runtime: Handle::current(), end, postgres, nats, redis, postgres_url, nats_url, redis_url })
}

fn own<S>(server: S) -> Place<S> {
    Place::Own(Arc::new(Mutex::new(server)))
}

/// Without fsync: tests don't need to survive a crash of the machine, and a killed server still loses nothing.
fn postgres_options() -> PostgresOptions {
    let settings = [("fsync", "off"), ("full_page_writes", "off"), ("max_connections", "400")];
    PostgresOptions {
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..PostgresOptions::default()
    }
}

/// As in a fleet: Redis requires a password.
fn redis_options() -> RedisOptions {
    RedisOptions { password: Some("test-password".to_owned()), ..RedisOptions::default() }
}

fn nats_options() -> NatsOptions {
    NatsOptions { extra: nats::accounts(), ..NatsOptions::default() }
}
