//! One program under supervision: its start, its readiness, its restarts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use flotilla_servers::Process;
use tokio::{process::Command, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{home::Home, probe, supervisor::board::Board};

/// Pause before the first restart.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause between restarts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A program that has lived so long starts again at once when it dies.
const LONG_LIFE: Duration = Duration::from_secs(60);
/// How often readiness is asked while a program starts.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// How often a hold is looked for.
const HOLD_PAUSE: Duration = Duration::from_millis(50);

/// A program with its command line.
pub struct Program {
    /// What it is called: in the table, and of its log.
    pub name: &'static str,
    /// Its URL, as people are told it.
    pub address: String,
    path: PathBuf,
    args: Vec<String>,
    variables: Vec<(&'static str, String)>,
    probe: (String, &'static str),
}

impl Program {
    /// A program whose readiness shows at a path of its address.
    pub fn new(name: &'static str, path: PathBuf, address: &str, ready: &'static str) -> Self {
        Self {
            name,
            address: format!("http://{address}"),
            path,
            args: Vec::new(),
            variables: Vec::new(),
            probe: (address.to_owned(), ready),
        }
    }

    /// With arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args.extend(args);
        self
    }

    /// With variables of its environment.
    pub fn variables(mut self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Runs it again and again until `stop`, then ends it in order.
    pub async fn keep_alive(self, home: Home, board: Arc<Board>, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let began = Instant::now();
            if let Err(error) = self.live(&home, &board, &stop).await {
                tracing::error!(program = self.name, error = format!("{error:#}"), "program can't be run");
            }
            while home.hold(self.name).exists() && !stop.is_cancelled() {
                tokio::time::sleep(HOLD_PAUSE).await;
            }
            pause = if began.elapsed() > LONG_LIFE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        board.stopped(self.name);
    }

    /// One life.
    async fn live(&self, home: &Home, board: &Board, stop: &CancellationToken) -> Result<()> {
        let began = Instant::now();
        let mut command = Command::new(&self.path);
        command.args(&self.args).envs(self.variables.iter().map(|(name, value)| (name, value)));
        // Debian's programs, unpacked, look for their pages and templates beside themselves.
        command.current_dir(self.path.parent().unwrap_or(Path::new("/")));
        let mut process = Process::spawn_own(command, &home.log(self.name), home.rotation())?;
        let pid = process.pid();
        board.running(self.name, pid, None);
        let ready = self.until_ready();
        tokio::pin!(ready);
        let mut is_ready = false;
        let mut held = tokio::time::interval(HOLD_PAUSE);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                status = process.wait() => {
                    tracing::warn!(program = self.name, pid, status = ?status.ok(), "program ended");
                    board.died(self.name);
                    process.terminate().await;
                    return Ok(());
                }
                () = &mut ready, if !is_ready => {
                    is_ready = true;
                    board.running(self.name, pid, u64::try_from(began.elapsed().as_millis()).ok());
                }
                _ = held.tick() => if home.hold(self.name).exists() { break },
            }
        }
        process.terminate().await;
        board.stopped(self.name);
        Ok(())
    }

    /// Asks until it says yes; the caller stops asking when the program dies.
    async fn until_ready(&self) {
        let (address, path) = &self.probe;
        while !probe::status(address, path).await.is_ok_and(|status| status == 200) {
            tokio::time::sleep(READY_PAUSE).await;
        }
    }
}
