//! `fleet chaos`: SIGKILL of services and of nats-server at random while a demo runs, then the invariants.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use crate::{SERVICES, control, demo, home::Home, state::State};

/// Options of `fleet chaos`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The demo that runs meanwhile.
    #[command(flatten)]
    pub demo: demo::Options,
    /// Milliseconds between two kills, at the most.
    #[arg(long, default_value_t = 800)]
    pub every_ms: u64,
    /// Spare nats-server.
    #[arg(long)]
    pub spare_nats: bool,
}

/// Runs a demo under fire; exit code 1 when an invariant is broken or an order is stuck.
///
/// # Errors
/// When no fleet is up, or orders don't end.
pub async fn run(home: &Home, options: Options) -> Result<ExitCode> {
    let mut demo_options = options.demo;
    let seed = demo_options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    demo_options.seed = Some(seed);
    let mut targets: Vec<&'static str> = SERVICES.to_vec();
    if !options.spare_nats {
        targets.push("nats");
    }
    let fire = Fire::start(home.clone(), targets, Duration::from_millis(options.every_ms.max(1)), seed);
    let code = demo::run_under(home, demo_options, || fire.cease()).await;
    let kills = fire.end().await;
    println!("killed: {}", kills.join(", "));
    code
}

/// Kills members of a fleet at random until it is told to cease.
pub struct Fire {
    cease: CancellationToken,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Fire {
    /// Begins; the same seed chooses the same targets and pauses.
    #[must_use]
    pub fn start(home: Home, targets: Vec<&'static str>, longest_pause: Duration, seed: u64) -> Self {
        let cease = CancellationToken::new();
        let token = cease.clone();
        let task = tokio::spawn(async move { shoot(&home, &targets, longest_pause, seed, &token).await });
        Self { cease, task }
    }

    /// No more kills from now on.
    pub fn cease(&self) {
        self.cease.cancel();
    }

    /// Ceases and says who was killed, in order.
    pub async fn end(self) -> Vec<String> {
        self.cease.cancel();
        self.task.await.unwrap_or_default()
    }
}

async fn shoot(
    home: &Home,
    targets: &[&'static str],
    longest_pause: Duration,
    seed: u64,
    cease: &CancellationToken,
) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut killed = Vec::new();
    let targets = Arc::<[&str]>::from(targets);
    loop {
        let pause = longest_pause.mul_f64(random.random_range(0.25..1.0));
        let target = targets.choose(&mut random).copied().unwrap_or("orders");
        tokio::select! {
            () = cease.cancelled() => return killed,
            () = tokio::time::sleep(pause) => {}
        }
        if kill(home, target).is_ok() {
            killed.push(target.to_owned());
        }
    }
}

/// SIGKILL to one member that runs.
///
/// # Errors
/// When it doesn't run just now.
pub fn kill(home: &Home, name: &str) -> Result<()> {
    let state = State::of_running(home)?;
    let pid = state.member(name)?.pid;
    pid.map_or_else(|| anyhow::bail!("{name} doesn't run"), |pid| control::signal(pid, Signal::KILL))
}
