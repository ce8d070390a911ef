//! The running services, and their end: on a signal, or as soon as one of them ends by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{anyhow, bail};
use flotilla_config::{HumanDuration, Live};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::Running;
use crate::running::Stopper;
use crate::signals::Signals;

/// The place of the service that calls the others.
const FIRST: usize = 0;

type End = (usize, anyhow::Result<()>);

/// The services of the process by their place in its order.
pub(super) struct Services {
    graces: Vec<Live<HumanDuration>>,
    stoppers: BTreeMap<usize, Stopper>,
    names: BTreeMap<usize, &'static str>,
    ends: FuturesUnordered<BoxFuture<'static, End>>,
    problems: Vec<String>,
}

impl Services {
    pub fn new(graces: Vec<Live<HumanDuration>>) -> Self {
        let (stoppers, names) = (BTreeMap::new(), BTreeMap::new());
        Self { graces, stoppers, names, ends: FuturesUnordered::new(), problems: Vec::new() }
    }

    /// Adds a service that has started.
    pub fn add(&mut self, place: usize, running: Running) {
        self.stoppers.insert(place, running.stopper.clone());
        self.names.insert(place, running.name);
        self.ends.push(Box::pin(async move { (place, running.wait().await) }));
    }

    /// Waits for a signal, or for the end of a service, and drains all.
    ///
    /// # Errors
    /// A service ended by itself, or something didn't end in time.
    pub async fn until_end(mut self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "stopping"),
            Some((place, ended)) = self.ends.next() => {
                let why = ended.err().unwrap_or_else(|| anyhow!("{} ended by itself", self.name(place)));
                tracing::error!(service = self.name(place), problem = format!("{why:#}"), "process stops");
                self.note(place, Err(why));
            }
        }
        self.drain(signals).await
    }

    /// Drains all services: first the one that calls the others, in half of the grace, then these.
    ///
    /// # Errors
    /// A service has failed, or something didn't end in time.
    pub async fn drain(mut self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            () = self.stop_all() => {}
            signal = signals.next() => bail!("stopped at once by a second signal ({signal})"),
        }
        if self.problems.is_empty() { Ok(()) } else { Err(anyhow!(self.problems.join("; "))) }
    }

    async fn stop_all(&mut self) {
        let grace = self.graces.iter().map(|grace| grace.get().get()).max().unwrap_or(Duration::ZERO);
        let now = Instant::now();
        if let Some(first) = self.stoppers.get(&FIRST) {
            first.stop_by(now + grace / 2);
        }
        while self.stoppers.contains_key(&FIRST) && self.next_end().await {}
        for stopper in self.stoppers.values() {
            stopper.stop_by(now + grace);
        }
        while self.next_end().await {}
    }

    /// Waits for the next end; returns whether there was one.
    async fn next_end(&mut self) -> bool {
        match self.ends.next().await {
            Some((place, ended)) => {
                self.note(place, ended);
                true
            }
            None => false,
        }
    }

    fn note(&mut self, place: usize, ended: anyhow::Result<()>) {
        self.stoppers.remove(&place);
        if let Err(error) = ended {
            self.problems.push(format!("{error:#}"));
        }
    }

    fn name(&self, place: usize) -> &'static str {
        self.names.get(&place).copied().unwrap_or_default()
    }
}
