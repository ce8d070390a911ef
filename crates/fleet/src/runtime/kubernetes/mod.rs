//! A fleet in a cluster: a script starts it (`make up RUNTIME=k8s`), and kubectl operates it. Errors name the kubectl
//! command to use; [`secrets`] creates its credentials.

pub mod secrets;

use anyhow::{Error, Result, anyhow};
use async_trait::async_trait;

use super::{LogOptions, Runtime, UpOptions};
use crate::home::Home;

/// What `--runtime` calls it.
pub const NAME: &str = "k8s";

/// A cluster.
pub struct Kubernetes;

fn by(command: &str) -> Error {
    anyhow!(
        "use kubectl to operate a fleet in a cluster (with the namespace of its overlay, here of `dev`): `{command}`"
    )
}

#[async_trait]
impl Runtime for Kubernetes {
    async fn up(&self, _: &Home, _: UpOptions) -> Result<()> {
        Err(anyhow!(
            "run `make up RUNTIME=k8s` to start a fleet in a cluster: this command can't build and load the images"
        ))
    }

    async fn down(&self, _: &Home) -> Result<()> {
        Err(by(
            "kubectl delete namespace flotilla` (deletes its data too), or `kubectl -n flotilla scale deployment --all --replicas 0",
        ))
    }

    async fn restart(&self, _: &Home, name: Option<&str>) -> Result<()> {
        let what = name.map_or_else(|| "deployment".to_owned(), |name| format!("deployment/{name}"));
        Err(by(&format!("kubectl -n flotilla rollout restart {what}")))
    }

    async fn stop(&self, _: &Home, name: &str) -> Result<()> {
        Err(by(&format!("kubectl -n flotilla scale deployment/{name} --replicas 0")))
    }

    async fn start(&self, _: &Home, name: &str) -> Result<()> {
        Err(by(&format!("kubectl -n flotilla scale deployment/{name} --replicas 1")))
    }

    async fn status(&self, _: &Home, _: bool) -> Result<bool> {
        Err(by("kubectl -n flotilla get pods"))
    }

    async fn logs(&self, _: &Home, options: LogOptions<'_>) -> Result<()> {
        Err(by(&format!(
            "kubectl -n flotilla logs deployment/{} --tail {}",
            options.name.unwrap_or("gateway"),
            options.lines
        )))
    }

    fn require_processes(&self) -> Result<()> {
        Err(anyhow!("this needs a native fleet: run `make up` on this machine"))
    }

    fn require_backups(&self) -> Result<()> {
        Err(anyhow!("the fleet runs in a cluster: follow docs/runbooks/restore-databases.md"))
    }
}
