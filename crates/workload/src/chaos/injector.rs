//! Injects faults into a fleet at random until it is stopped.

use std::time::Duration;

use anyhow::Result;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio_util::sync::CancellationToken;

use super::{kills::Kills, loss::Loss};
use crate::fleet::{Fleet, Supervisor};

/// A fault that can be injected.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The member with this name is killed.
    Kill(String),
    /// A stream loses messages.
    Lose(Loss),
}

impl Fault {
    /// A kill for each service.
    #[must_use]
    pub fn kills_of_services(fleet: &Fleet) -> Vec<Self> {
        fleet.services().map(|service| Self::Kill(service.name.clone())).collect()
    }

    async fn inject(
        &self,
        fleet: &Fleet,
        supervisor: &impl Supervisor,
        kills: &mut Kills,
        random: &mut StdRng,
    ) -> Result<String> {
        match self {
            Self::Kill(name) => kills.kill(supervisor, name).map(|()| name.clone()),
            Self::Lose(loss) => loss.inflict(fleet, supervisor, random).await,
        }
    }
}

/// Kills members of a fleet and removes messages from its broker at random until stopped.
pub struct Injector {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Injector {
    /// Starts injecting; the same seed chooses the same faults and pauses.
    #[must_use]
    pub fn start(
        fleet: Fleet,
        supervisor: impl Supervisor,
        faults: Vec<Fault>,
        longest_pause: Duration,
        seed: u64,
    ) -> Self {
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = async move { inject_until(&token, &fleet, &supervisor, &faults, longest_pause, seed).await };
        Self { stop, task: tokio::spawn(task) }
    }

    /// Stops: from now on nothing more is killed or removed.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops, and returns a description of each fault in order.
    pub async fn end(self) -> Vec<String> {
        self.stop.cancel();
        self.task.await.unwrap_or_default()
    }
}

async fn inject_until(
    stop: &CancellationToken,
    fleet: &Fleet,
    supervisor: &impl Supervisor,
    faults: &[Fault],
    longest_pause: Duration,
    seed: u64,
) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut kills, mut injected) = (Kills::default(), Vec::new());
    loop {
        let pause = longest_pause.mul_f64(random.random_range(0.25..1.0));
        let Some(fault) = faults.choose(&mut random) else { return injected };
        tokio::select! {
            () = stop.cancelled() => return injected,
            () = tokio::time::sleep(pause) => {}
        }
        // A fault that can't be injected at the moment is skipped. A loss that has begun is completed.
        if let Ok(what) = fault.inject(fleet, supervisor, &mut kills, &mut random).await {
            injected.push(what);
        }
    }
}
