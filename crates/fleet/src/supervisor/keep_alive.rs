//! Keeps a process alive: starts it, polls it until it is ready, restarts it with growing pauses when it dies, and
//! leaves it stopped while its hold marker exists.

use std::time::Duration;

use anyhow::Result;
use flotilla_servers::Process;
use tokio::{process::Command, time::Instant};
use tokio_util::sync::CancellationToken;

use super::shared_state::SharedState;
use crate::home::Home;

/// How often the hold marker is checked.
const HOLD_PAUSE: Duration = Duration::from_millis(50);

/// When a process that ended is restarted.
pub(crate) struct RestartPolicy {
    /// Pause before the first restart; doubled each time.
    pub first: Duration,
    /// Longest such pause.
    pub longest: Duration,
    /// A process that ran for this long starts with the first pause again.
    pub long_life: Duration,
    /// How often readiness is polled.
    pub ready: Duration,
}

/// A process to keep alive.
pub(crate) trait Supervised: Sync {
    /// When it is restarted.
    const POLICY: RestartPolicy;

    /// Its name in the state; also that of its log and its hold marker.
    fn name(&self) -> &'static str;

    /// Starts it.
    fn command(&self) -> Result<Command>;

    /// Whether it is ready.
    fn is_ready(&self) -> impl Future<Output = bool> + Send;
}

/// Runs the process and restarts it until `stop`, then terminates it.
pub(crate) async fn keep_alive<P: Supervised>(
    program: &P,
    home: &Home,
    shared: &SharedState,
    stop: &CancellationToken,
) {
    let (name, policy) = (program.name(), P::POLICY);
    let mut pause = policy.first;
    while !stop.is_cancelled() {
        let began = Instant::now();
        if let Err(error) = run_once(program, home, shared, stop).await {
            tracing::error!(name, error = format!("{error:#}"), "process can't be run");
        }
        if stop.is_cancelled() {
            break;
        }
        if home.hold_marker(name).exists() {
            while home.hold_marker(name).exists() && !stop.is_cancelled() {
                tokio::time::sleep(HOLD_PAUSE).await;
            }
            continue;
        }
        pause = if began.elapsed() > policy.long_life { policy.first } else { (pause * 2).min(policy.longest) };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    shared.stopped(name);
}

/// Runs the process once, until it ends or is stopped.
async fn run_once<P: Supervised>(
    program: &P,
    home: &Home,
    shared: &SharedState,
    stop: &CancellationToken,
) -> Result<()> {
    let (began, name) = (Instant::now(), program.name());
    let mut process = Process::spawn_own(program.command()?, &home.log(name), home.rotation())?;
    let pid = process.pid();
    shared.running(name, pid, None);
    let ready = until_ready(program);
    tokio::pin!(ready);
    let mut is_ready = false;
    let mut held = tokio::time::interval(HOLD_PAUSE);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            status = process.wait() => {
                tracing::warn!(name, pid, status = ?status.ok(), "process exited");
                shared.died(name);
                process.terminate().await;
                return Ok(());
            }
            () = &mut ready, if !is_ready => {
                is_ready = true;
                shared.running(name, pid, u64::try_from(began.elapsed().as_millis()).ok());
            }
            _ = held.tick() => if home.hold_marker(name).exists() { break },
        }
    }
    process.terminate().await;
    shared.stopped(name);
    Ok(())
}

/// Polls until the process is ready; the caller cancels this when it dies.
async fn until_ready<P: Supervised>(program: &P) {
    while !program.is_ready().await {
        tokio::time::sleep(P::POLICY.ready).await;
    }
}
