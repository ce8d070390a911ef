//! Where a fleet runs: as processes of this machine under its own supervisor, as containers by Compose, or in a
//! cluster.
//!
//! Everything that differs between them is behind [`Runtime`]; what asks for one is [`of`] and [`named`] alone.

pub mod compose;
pub mod kubernetes;
pub mod native;

use anyhow::{Result, bail};
use async_trait::async_trait;
use flotilla_config::unknown;

use self::{compose::Compose, kubernetes::Kubernetes, native::Native};
use crate::home::Home;

/// The options of `up`.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpOptions {
    /// Mutual TLS between all services, and TLS at the gateway.
    pub tls: bool,
    /// Faults can be switched on.
    pub faults: bool,
    /// Whether Prometheus and the other observability programs run too.
    pub observability: bool,
    /// All services in one process.
    pub one_process: bool,
}

/// Which logs are printed.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions<'a> {
    /// Service or server; all where absent.
    pub name: Option<&'a str>,
    /// Whether to follow the logs.
    pub follow: bool,
    /// Number of lines to show from each log.
    pub lines: usize,
}

/// The operations on a fleet, wherever it runs. Errors name the alternative.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Starts the fleet unless it is up, and prints its table.
    async fn up(&self, home: &Home, options: UpOptions) -> Result<()>;

    /// Stops the fleet, if it is up.
    async fn down(&self, home: &Home) -> Result<()>;

    /// Restarts one member, or all.
    async fn restart(&self, home: &Home, name: Option<&str>) -> Result<()>;

    /// Stops one member and leaves it stopped.
    async fn stop(&self, home: &Home, name: &str) -> Result<()>;

    /// Starts one member that was stopped.
    async fn start(&self, home: &Home, name: &str) -> Result<()>;

    /// Prints the fleet's members as a table or JSON; returns whether all of them are running.
    async fn status(&self, home: &Home, json: bool) -> Result<bool>;

    /// Prints the last lines of logs.
    async fn logs(&self, home: &Home, options: LogOptions<'_>) -> Result<()>;

    /// Fails if the members aren't processes of this machine, with ids, signals and memory.
    fn require_processes(&self) -> Result<()>;

    /// Fails if `fleet backup` and `fleet restore` don't work in this runtime.
    fn require_backups(&self) -> Result<()>;
}

/// The runtime of the running fleet of a home. If none is running, it is the native one, or with `RUNTIME=k8s` the
/// cluster.
#[must_use]
pub fn of(home: &Home) -> Box<dyn Runtime> {
    if home.in_containers() {
        return Box::new(Compose);
    }
    let in_cluster = std::env::var_os("RUNTIME").is_some_and(|name| name == kubernetes::NAME);
    if in_cluster && !home.is_running().unwrap_or(true) { Box::new(Kubernetes) } else { Box::new(Native) }
}

/// The runtime that `--runtime` names.
///
/// # Errors
/// If there is none with this name.
pub fn named(name: &str) -> Result<Box<dyn Runtime>> {
    match name {
        native::NAME => Ok(Box::new(Native)),
        compose::NAME => Ok(Box::new(Compose)),
        kubernetes::NAME => Ok(Box::new(Kubernetes)),
        other => bail!(unknown("runtime", other, [native::NAME, compose::NAME, kubernetes::NAME])),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_runtime_is_refused_with_those_that_there_are() {
        let refusal = |name: &str| named(name).map(drop).unwrap_err().to_string();
        assert_eq!(refusal("docker"), "unknown runtime \"docker\"; use one of native, compose, k8s");
        assert!(refusal("composse").contains("use one of native, compose, k8s"));
        for name in [native::NAME, compose::NAME, kubernetes::NAME] {
            named(name).unwrap();
        }
    }

    #[tokio::test]
    async fn a_cluster_is_driven_by_kubectl_and_says_how() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path(), None).unwrap();
        let cluster = named(kubernetes::NAME).unwrap();
        let up = cluster.up(&home, UpOptions::default()).await.unwrap_err().to_string();
        assert!(up.contains("make up RUNTIME=k8s"), "{up}");
        let stop = cluster.stop(&home, "orders").await.unwrap_err().to_string();
        assert!(stop.contains("scale deployment/orders --replicas 0"), "{stop}");
        assert!(cluster.require_processes().is_err() && cluster.require_backups().is_err());
    }
}
