//! A running service.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use flotilla_telemetry::spawn;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Readiness;
use crate::admin::Mounted;

/// A running service. If dropped, it is asked to stop, without waiting for it.
#[derive(Debug)]
pub struct Running {
    /// Name of the service.
    pub name: &'static str,
    /// Address of the public port.
    pub grpc: SocketAddr,
    /// Address of the admin port.
    pub admin: SocketAddr,
    pub(crate) stopper: Stopper,
    pub(crate) readiness: Readiness,
    pub(crate) mounted: Mounted,
    pub(crate) supervisor: JoinHandle<anyhow::Result<()>>,
}

/// Asks a service to stop. Clones ask the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopper {
    stop: CancellationToken,
    deadline: Arc<OnceLock<Instant>>,
}

impl Stopper {
    /// Asks it to have stopped by `deadline`, which may be earlier than its grace.
    pub fn stop_by(&self, deadline: Instant) {
        // The first deadline counts.
        let _ = self.deadline.set(deadline);
        self.stop.cancel();
    }

    /// Waits until it is asked to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// When it has to have stopped, within its `grace` from now.
    pub fn deadline(&self, grace: Duration) -> Instant {
        let own = Instant::now() + grace;
        self.deadline.get().map_or(own, |deadline| own.min(*deadline))
    }
}

impl Running {
    /// Cancelling it asks the service to drain and stop.
    pub fn stopper(&self) -> CancellationToken {
        self.stopper.stop.clone()
    }

    /// Adds routes to the admin port of the running service that only `main` can serve.
    ///
    /// # Panics
    /// A path is mounted twice.
    pub fn mount(&self, routes: axum::Router) {
        self.mounted.add(routes);
    }

    /// Stops the service with the error of `check` if it fails.
    pub(crate) fn unless_fails(mut self, check: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Self {
        let stop = self.stopper();
        let mut serving = std::mem::replace(&mut self.supervisor, spawn(async { Ok(()) }));
        self.supervisor = spawn(async move {
            let failed = tokio::select! {
                ended = &mut serving => return ended.context("the supervisor failed")?,
                checked = check => checked.err(),
            };
            if failed.is_some() {
                stop.cancel();
            }
            let ended = serving.await.context("the supervisor failed")?;
            failed.map_or(ended, Err)
        });
        self
    }

    /// Whether the service is ready, and why not.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Drains, stops and waits for the end.
    ///
    /// # Errors
    /// A task failed, or something didn't end in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stopper.stop.cancel();
        self.wait().await
    }

    /// Waits until the service has ended, by [`stopper`](Self::stopper) or on its own.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn wait(mut self) -> anyhow::Result<()> {
        (&mut self.supervisor).await.context("the supervisor failed")?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop.cancel();
    }
}
