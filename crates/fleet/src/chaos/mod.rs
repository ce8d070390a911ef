//! `fleet chaos`: kills services, nats-server and Redis and removes messages from the broker's streams at random while a
//! demo runs, then checks the invariants.

mod kills;
mod losses;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio_util::sync::CancellationToken;

use self::kills::Kills;
pub use self::{kills::kill, losses::Loss};
use crate::{SERVICES, demo, home::Home};

/// Options of `fleet chaos`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The demo that runs meanwhile.
    #[command(flatten)]
    pub demo: demo::Options,
    /// Milliseconds between two kills, at the most.
    #[arg(long, default_value_t = 800)]
    pub every_ms: u64,
    /// Spare nats-server and its messages.
    #[arg(long)]
    pub spare_nats: bool,
    /// Only lose messages of the broker; kill nothing except the broker when its files are damaged.
    #[arg(long, conflicts_with = "spare_nats")]
    pub only_losses: bool,
}

/// A target of the chaos.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A member of the fleet is killed.
    Member(&'static str),
    /// A stream loses messages.
    Messages(Loss),
}

impl Target {
    /// All services.
    #[must_use]
    pub fn services() -> Vec<Self> {
        SERVICES.map(Self::Member).into()
    }

    fn of(options: &Options) -> Vec<Self> {
        let losses = Loss::ALL.map(Self::Messages);
        if options.only_losses {
            return losses.into();
        }
        let mut targets = Self::services();
        targets.push(Self::Member("redis"));
        if !options.spare_nats {
            targets.push(Self::Member("nats"));
            targets.extend(losses);
        }
        targets
    }

    async fn strike(self, home: &Home, kills: &mut Kills, random: &mut StdRng) -> Result<String> {
        match self {
            Self::Member(name) => kills.kill(home, name).map(|()| name.to_owned()),
            Self::Messages(loss) => loss.inflict(home, random).await,
        }
    }
}

/// Runs a demo under fire; exit code 1 when an invariant is broken or an order is stuck.
///
/// # Errors
/// When no fleet is up, or orders don't end.
pub async fn run(home: &Home, options: Options) -> Result<ExitCode> {
    let targets = Target::of(&options);
    let mut demo_options = options.demo;
    let seed = demo_options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    demo_options.seed = Some(seed);
    let fire = Fire::start(home.clone(), targets, Duration::from_millis(options.every_ms.max(1)), seed);
    let code = demo::run_under(home, demo_options, || fire.cease()).await;
    let kills = fire.end().await;
    println!("struck: {}", kills.join(", "));
    code
}

/// Kills members of a fleet and removes messages from its broker at random until stopped.
pub struct Fire {
    cease: CancellationToken,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Fire {
    /// Begins; the same seed chooses the same targets and pauses.
    #[must_use]
    pub fn start(home: Home, targets: Vec<Target>, longest_pause: Duration, seed: u64) -> Self {
        let cease = CancellationToken::new();
        let token = cease.clone();
        let task = tokio::spawn(async move { shoot(&home, &targets, longest_pause, seed, &token).await });
        Self { cease, task }
    }

    /// Stops: from now on nothing more is killed or removed.
    pub fn cease(&self) {
        self.cease.cancel();
    }

    /// Stops, and returns a description of each strike in order.
    pub async fn end(self) -> Vec<String> {
        self.cease.cancel();
        self.task.await.unwrap_or_default()
    }
}

async fn shoot(
    home: &Home,
    targets: &[Target],
    longest_pause: Duration,
    seed: u64,
    cease: &CancellationToken,
) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut kills, mut struck) = (Kills::default(), Vec::new());
    loop {
        let pause = longest_pause.mul_f64(random.random_range(0.25..1.0));
        let target = targets.choose(&mut random).copied().unwrap_or(Target::Member("orders"));
        tokio::select! {
            () = cease.cancelled() => return struck,
            () = tokio::time::sleep(pause) => {}
        }
        // A target that can't be struck at the moment is skipped. A loss that has begun is completed.
        if let Ok(what) = target.strike(home, &mut kills, &mut random).await {
            struck.push(what);
        }
    }
}
