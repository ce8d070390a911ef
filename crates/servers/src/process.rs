//! A running server process with its guard and its log.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::guard::Guard;
use crate::layout::Layout;
use crate::log::{self, Drained, Log, Rotation};
use crate::tree;

/// How long to wait for the last log lines of an ended process.
const DRAIN_DEADLINE: Duration = Duration::from_millis(500);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// A server process. It is killed with its children on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    guard: Option<Guard>,
    pid: u32,
    log: PathBuf,
    log_start: u64,
    drained: Option<Drained>,
}

impl Process {
    /// Starts the command, whose output is appended to the log.
    pub(crate) fn spawn(layout: &Layout, command: Command, log: &Path, polite: Signal) -> Result<Self> {
        Self::start(command, log, Rotation::default(), Guard::start(layout.command(Path::new("/bin/sh")), polite)?)
    }

    /// Starts a program as the invoking user in the same way: with its own log, limited by `rotation`, its own process
    /// group, and a guard that stops it when this process is gone.
    ///
    /// # Errors
    /// The program or its guard can't be started, or the log can't be written.
    pub fn spawn_own(command: Command, log: &Path, rotation: Rotation) -> Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.kill_on_drop(true);
        Self::start(command, log, rotation, Guard::start(shell, Signal::TERM)?)
    }

    fn start(mut command: Command, path: &Path, rotation: Rotation, mut guard: Guard) -> Result<Self> {
        let log = Log::open(path, rotation)?;
        let log_start = std::fs::metadata(path)?.len();
        let (reader, writer) = std::io::pipe().context("cannot create a pipe for the log")?;
        let drained = log::drain(reader, log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))?;
        let pid = child.id().context("the server has no pid")?;
        // Created before anything can fail, so that an error kills the child.
        let mut process = Self { child, guard: None, pid, log: path.to_owned(), log_start, drained: Some(drained) };
        guard.watch(pid)?;
        process.guard = Some(guard);
        Ok(process)
    }

    /// The program's own process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// `Some` once the process has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        if status.is_some() {
            // Its pid may soon be reused, so the guard must go.
            self.guard = None;
        }
        status
    }

    /// Waits until the process ends by itself. Safe to cancel.
    ///
    /// # Errors
    /// The exit status isn't available.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.guard = None;
        Ok(status)
    }

    /// Sends SIGTERM, and kills the process if it doesn't end in time. Returns when the process is gone.
    pub async fn terminate(self) {
        self.stop(Signal::TERM).await;
    }

    /// Sends the stop signal, and kills the process if it doesn't end in time.
    pub(crate) async fn stop(mut self, polite: Signal) {
        if self.ended().is_none() {
            tree::signal(self.pid, polite);
            if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
                tracing::warn!(pid = self.pid, "server ignored the stop signal, killing it");
                self.kill_all();
            }
        }
        self.reap(Vec::new()).await;
    }

    /// Kills the whole instance with SIGKILL; returns when none of its processes is left.
    pub(crate) async fn kill(mut self) {
        let children = self.kill_all();
        self.reap(children).await;
    }

    /// The last lines that the server has written since its start.
    pub(crate) fn last_lines(&self) -> String {
        const TAIL: u64 = 4096;
        if let (None, Some(drained)) = (self.child.id(), &self.drained) {
            drained.wait(DRAIN_DEADLINE);
        }
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let end = file.metadata()?.len();
            // If the log was rotated since, it contains nothing older than the server.
            let start = if self.log_start <= end { self.log_start } else { 0 };
            file.seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL))))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Kills the process and its children, whose pids it returns.
    fn kill_all(&mut self) -> Vec<u32> {
        if self.child.id().is_none() {
            return Vec::new();
        }
        // Stopped first, so that it can't start another child in between.
        tree::signal(self.pid, Signal::STOP);
        let children = tree::children(self.pid);
        for child in &children {
            tree::signal(*child, Signal::KILL);
        }
        tree::signal(self.pid, Signal::KILL);
        children
    }

    async fn reap(mut self, children: Vec<u32>) {
        if timeout(KILL_DEADLINE, self.child.wait()).await.is_err() {
            tracing::error!(pid = self.pid, "server still runs after SIGKILL");
        }
        if !tree::all_gone(&children, KILL_DEADLINE).await {
            tracing::error!(pid = self.pid, "children of the server still run after SIGKILL");
        }
        if let Some(guard) = self.guard.take() {
            guard.release().await;
        }
        if let Some(drained) = self.drained.take() {
            // The wait doesn't panic and has a timeout.
            drop(tokio::task::spawn_blocking(move || drained.wait(DRAIN_DEADLINE)).await);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_all();
    }
}
