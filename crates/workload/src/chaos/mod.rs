//! `fleet chaos`: kills services, nats-server and Redis and removes messages from the broker's streams at random while a
//! demo runs, then checks the invariants.

mod injector;
mod kills;
mod loss;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use rand::Rng as _;

pub use self::{
    injector::{Fault, Injector},
    kills::kill,
    loss::Loss,
};
use crate::{
    demo,
    fleet::{Fleet, Supervisor},
};

/// Options of `fleet chaos`.
// Those of the demo are in a group of the same name.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Options {
    /// Options of the demo that runs meanwhile.
    #[command(flatten)]
    pub demo: demo::Options,
    /// Maximum number of milliseconds between two kills.
    #[arg(long, default_value_t = 800)]
    pub every_ms: u64,
    /// Don't kill nats-server or lose its messages.
    #[arg(long)]
    pub spare_nats: bool,
    /// Only lose messages in the broker; kill nothing except the broker when its files are damaged.
    #[arg(long, conflicts_with = "spare_nats")]
    pub only_losses: bool,
}

impl Options {
    fn faults(&self, fleet: &Fleet) -> Vec<Fault> {
        let losses = Loss::ALL.map(Fault::Lose);
        if self.only_losses {
            return losses.into();
        }
        let mut faults = Fault::kills_of_services(fleet);
        faults.push(Fault::Kill("redis".to_owned()));
        if !self.spare_nats {
            faults.push(Fault::Kill("nats".to_owned()));
            faults.extend(losses);
        }
        faults
    }
}

/// Runs a demo while faults are injected; exit code 1 when an invariant is broken or an order is stuck.
///
/// # Errors
/// When orders can't be placed or don't end.
pub async fn run(fleet: &Fleet, supervisor: &impl Supervisor, options: Options) -> Result<ExitCode> {
    let faults = options.faults(fleet);
    let mut demo_options = options.demo;
    let seed = demo_options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    demo_options.seed = Some(seed);
    let longest_pause = Duration::from_millis(options.every_ms.max(1));
    let injector = Injector::start(fleet.clone(), supervisor.clone(), faults, longest_pause, seed);
    let code = demo::run_with(fleet, demo_options, || injector.stop()).await;
    println!("injected: {}", injector.end().await.join(", "));
    code
}
