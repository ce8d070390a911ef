//! A running service.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::task::JoinHandle;
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
    pub(crate) stop: CancellationToken,
    pub(crate) readiness: Readiness,
    pub(crate) mounted: Mounted,
    pub(crate) supervisor: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Cancelling it asks the service to drain and stop.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Adds routes to the admin port of the running service that only `main` can serve.
    ///
    /// # Panics
    /// A path is mounted twice.
    pub fn mount(&self, routes: axum::Router) {
        self.mounted.add(routes);
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
        self.stop.cancel();
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
        self.stop.cancel();
    }
}
