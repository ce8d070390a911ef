//! A process that is kept alive: started, asked until it is ready, started again with growing pauses when it dies, and
//! left stopped while a hold says so.

use std::time::Duration;

use anyhow::Result;
use flotilla_servers::Process;
use tokio::{process::Command, time::Instant};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use crate::home::Home;

/// How often a stop, a hold or a death is looked for.
const HOLD_PAUSE: Duration = Duration::from_millis(50);

/// How patiently something is kept alive.
pub(crate) struct Pace {
    /// Pause before the first restart; doubled each time.
    pub first: Duration,
    /// Longest such pause.
    pub longest: Duration,
    /// Who has lived so long starts with the first pause again.
    pub long_life: Duration,
    /// How often readiness is asked.
    pub ready: Duration,
}

/// What is kept alive.
pub(crate) trait Charge: Sync {
    /// How patiently.
    const PACE: Pace;

    /// What it is called: on the board, of its log and its hold.
    fn name(&self) -> &'static str;

    /// Starts it.
    fn command(&self) -> Result<Command>;

    /// Whether it does its work.
    fn is_ready(&self) -> impl Future<Output = bool> + Send;
}

/// Runs it again and again until `stop`, then ends it in order.
pub(crate) async fn keep_alive<C: Charge>(charge: &C, home: &Home, board: &Board, stop: &CancellationToken) {
    let (name, pace) = (charge.name(), C::PACE);
    let mut pause = pace.first;
    while !stop.is_cancelled() {
        let began = Instant::now();
        if let Err(error) = live(charge, home, board, stop).await {
            tracing::error!(name, error = format!("{error:#}"), "it can't be run");
        }
        if stop.is_cancelled() {
            break;
        }
        if home.hold(name).exists() {
            while home.hold(name).exists() && !stop.is_cancelled() {
                tokio::time::sleep(HOLD_PAUSE).await;
            }
            continue;
        }
        pause = if began.elapsed() > pace.long_life { pace.first } else { (pause * 2).min(pace.longest) };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    board.stopped(name);
}

/// One life.
async fn live<C: Charge>(charge: &C, home: &Home, board: &Board, stop: &CancellationToken) -> Result<()> {
    let (began, name) = (Instant::now(), charge.name());
    let mut process = Process::spawn_own(charge.command()?, &home.log(name), home.rotation())?;
    let pid = process.pid();
    board.running(name, pid, None);
    let ready = until_ready(charge);
    tokio::pin!(ready);
    let mut is_ready = false;
    let mut held = tokio::time::interval(HOLD_PAUSE);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            status = process.wait() => {
                tracing::warn!(name, pid, status = ?status.ok(), "it ended");
                board.died(name);
                process.terminate().await;
                return Ok(());
            }
            () = &mut ready, if !is_ready => {
                is_ready = true;
                board.running(name, pid, u64::try_from(began.elapsed().as_millis()).ok());
            }
            _ = held.tick() => if home.hold(name).exists() { break },
        }
    }
    process.terminate().await;
    board.stopped(name);
    Ok(())
}

/// Asks until it says yes; the caller stops asking when it dies.
async fn until_ready<C: Charge>(charge: &C) {
    while !charge.is_ready().await {
        tokio::time::sleep(C::PACE.ready).await;
    }
}
