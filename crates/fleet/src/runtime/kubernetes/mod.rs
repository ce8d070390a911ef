//! A fleet in a cluster: a script brings it up (`make up RUNTIME=k8s`), and kubectl drives it. This says which command
//! does what; [`secrets`] makes its credentials.

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
    anyhow!("a fleet in a cluster is driven by kubectl (in the namespace of its overlay, here of `dev`): `{command}`")
}

#[async_trait]
impl Runtime for Kubernetes {
    async fn up(&self, _: &Home, _: UpOptions) -> Result<()> {
        Err(anyhow!(
            "`make up RUNTIME=k8s` brings a cluster up: it builds and loads the images, which this command can't"
        ))
    }

    async fn down(&self, _: &Home) -> Result<()> {
        Err(by(
            "kubectl delete namespace flotilla` (its data go too), or `kubectl -n flotilla scale deployment --all --replicas 0",
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
        Err(anyhow!("this needs the processes of a native fleet: run `make up` on this machine"))
    }

    fn require_backups(&self) -> Result<()> {
        Err(anyhow!("the fleet runs in a cluster: docs/runbooks/restore-databases.md says what to do there"))
    }
}
