//! Owns everything that runs: detects tasks that end too early, and stops everything in order and in time.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;
use flotilla_config::{HumanDuration, Live};
use flotilla_rpc::HealthHandle;
use flotilla_telemetry::in_current_service;
use futures::future::BoxFuture;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;
use crate::running::Stopper;

/// The extra time after the grace for the admin endpoints to end.
const LAST: Duration = Duration::from_millis(500);

/// Named tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.set.spawn(in_current_service(task));
        self.names.insert(handle.id(), name);
    }

    /// Waits for the next task to end; returns its name, and its panic if it panicked. Pending forever if there are
    /// none.
    async fn ended(&mut self) -> (&'static str, Option<JoinError>) {
        match self.set.join_next_with_id().await {
            Some(Ok((id, ()))) => (self.names.remove(&id).unwrap_or("unnamed"), None),
            Some(Err(error)) => (self.names.remove(&error.id()).unwrap_or("unnamed"), Some(error)),
            None => std::future::pending().await,
        }
    }

    /// Waits for all until `deadline`, then aborts the rest. Returns the problems.
    async fn end(&mut self, deadline: Instant) -> Vec<String> {
        let mut problems = Vec::new();
        while !self.set.is_empty() {
            match timeout_at(deadline, self.ended()).await {
                Ok((_, None)) => {}
                Ok((name, Some(error))) => problems.push(format!("{name} panicked: {error}")),
                Err(_) => {
                    problems.extend(self.names.values().map(|name| format!("{name} did not end in time")));
                    self.set.shutdown().await;
                }
            }
        }
        problems
    }
}

/// A hook that runs while a service drains.
pub(crate) struct Hook(pub BoxFuture<'static, ()>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// The owner of a running service.
pub(crate) struct Supervisor {
    pub name: &'static str,
    /// The maximum duration of a shutdown, read when the drain begins.
    pub grace: Live<HumanDuration>,
    /// Asks the service to stop.
    pub stopper: Stopper,
    pub draining: CancellationToken,
    pub stop_server: CancellationToken,
    pub server: JoinHandle<anyhow::Result<()>>,
    pub shutdown: CancellationToken,
    pub tasks: Tasks,
    pub hooks: Vec<Hook>,
    pub stop_admin: CancellationToken,
    pub own: Tasks,
    pub readiness: Readiness,
    pub health: Option<HealthHandle>,
}

impl Supervisor {
    /// Supervises until asked to stop or something ends too early; then drains.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let name = self.name;
        let mut problems = Vec::new();
        let mut server_ended = false;
        tokio::select! {
            () = self.stopper.stopped() => {}
            ended = &mut self.server => {
                server_ended = true;
                problems.push(format!("server ended early: {}", outcome(ended)));
            }
            (task, error) = self.tasks.ended() => problems.push(early(task, error)),
            (task, error) = self.own.ended() => problems.push(early(task, error)),
        }
        for problem in &problems {
            tracing::error!(service = name, problem, "service stops");
        }
        problems.extend(self.drain(server_ended).await);
        if problems.is_empty() { Ok(()) } else { Err(anyhow!("{name}: {}", problems.join("; "))) }
    }

    async fn drain(mut self, server_ended: bool) -> Vec<String> {
        let deadline = self.stopper.deadline(self.grace.get().get());
        let grace = deadline.saturating_duration_since(Instant::now());
        // Calls may take most of the grace; the rest is for tasks and hooks.
        let calls_deadline = Instant::now() + grace.mul_f64(0.8);
        tracing::info!(service = self.name, grace_ms = grace.as_millis() as u64, "draining");
        self.readiness.drain();
        if let Some(health) = &self.health {
            health.set_serving(false);
        }
        self.draining.cancel();
        self.stop_server.cancel();
        let mut problems = Vec::new();
        if !server_ended {
            match timeout_at(calls_deadline, &mut self.server).await {
                Ok(Ok(Ok(()))) => {}
                Ok(ended) => problems.push(format!("server failed: {}", outcome(ended))),
                Err(_) => {
                    self.server.abort();
                    problems.push("calls in flight did not end in time".to_owned());
                }
            }
        }
        self.shutdown.cancel();
        problems.extend(self.tasks.end(deadline).await);
        for hook in self.hooks {
            if timeout_at(deadline, hook.0).await.is_err() {
                problems.push("a drain hook did not end in time".to_owned());
            }
        }
        self.stop_admin.cancel();
        problems.extend(self.own.end(Instant::now() + LAST).await);
        for problem in &problems {
            tracing::warn!(service = self.name, problem, "drain was not clean");
        }
        tracing::info!(service = self.name, "stopped");
        problems
    }
}

fn early(name: &str, error: Option<JoinError>) -> String {
    match error {
        Some(error) => format!("task {name} failed: {error}"),
        None => format!("task {name} ended early"),
    }
}

fn outcome(ended: Result<anyhow::Result<()>, JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "without an error".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) => error.to_string(),
    }
}
