//! The lifecycle of a server: start, stop, kill, restart. The same for all three kinds.

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::layout::Layout;
use crate::ports;
use crate::process::Process;
use crate::tree;

/// How long a server may take to respond after its start.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long a restart waits for its port to be free again.
const PORT_DEADLINE: Duration = Duration::from_secs(10);
const PROBE_PAUSE: Duration = Duration::from_millis(10);
const PROBE_DEADLINE: Duration = Duration::from_secs(2);
/// Number of ports to try if other processes take them first.
const PORT_ATTEMPTS: u32 = 8;

/// The differences between the kinds of servers.
pub trait Kind: Send + Sync + 'static {
    /// Signal for an orderly stop.
    const STOP: Signal;
    /// The server's binary.
    fn program(&self) -> &Path;
    /// Its arguments.
    fn arguments(&self, port: u16) -> Vec<OsString>;
    /// Cleans up after earlier runs and writes files; called before each start.
    fn prepare(&mut self, port: u16) -> impl Future<Output = Result<()>> + Send;
    /// Whether the server responds on the port and is the process that was started here.
    fn answers(&self, port: u16, pid: u32) -> impl Future<Output = Result<bool>> + Send;
    /// Chooses new ports in place of those besides the main one.
    fn move_ports(&mut self) -> Result<()> {
        Ok(())
    }
    /// The folder that a wipe empties.
    fn wiped(&self) -> PathBuf;
    /// How long it may take to respond after a start.
    fn start_timeout(&self) -> Duration {
        START_DEADLINE
    }
}

/// A private server on loopback. It is killed on drop.
#[derive(Debug)]
pub struct Server<K: Kind> {
    pub(crate) kind: K,
    layout: Layout,
    name: String,
    port: u16,
    pid: u32,
    start_time: Duration,
    process: Option<Box<Process>>,
    claim: File,
}

enum Start {
    Ready(Box<Process>),
    /// Another process has the port.
    PortTaken(String),
}

impl<K: Kind> Server<K> {
    /// Starts the server on the wanted port or, if that is taken or none is wanted, on a free one.
    pub(crate) async fn launch(kind: K, layout: &Layout, name: &str, wanted: Option<u16>, claim: File) -> Result<Self> {
        let port = wanted.filter(|port| ports::is_free(*port)).map_or_else(ports::free_port, Ok)?;
        let mut server = Self {
            kind,
            layout: layout.clone(),
            name: name.to_owned(),
            port,
            pid: 0,
            start_time: Duration::ZERO,
            process: None,
            claim,
        };
        server.end_predecessor().await?;
        for _ in 0..PORT_ATTEMPTS {
            match server.try_start().await? {
                Start::Ready(process) => {
                    server.process = Some(process);
                    return Ok(server);
                }
                Start::PortTaken(_) => {
                    server.port = ports::free_port()?;
                    server.kind.move_ports()?;
                }
            }
        }
        bail!("{name} found no free port in {PORT_ATTEMPTS} attempts")
    }

    /// The port it listens on, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process id (of its last run if it isn't running).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The instance's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.layout.log(&self.name)
    }

    /// How long the last start took, until the server responded.
    #[must_use]
    pub fn start_time(&self) -> Duration {
        self.start_time
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// Waits until the server ends by itself, and returns its exit status; returns at once if it isn't running. Safe to
    /// cancel.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        match &mut self.process {
            Some(process) => process.wait().await.ok(),
            None => None,
        }
    }

    /// Stops the server in an orderly way and waits; kills it after 20 s. No error if it has already ended.
    ///
    /// # Errors
    /// None at present.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.stop(K::STOP).await;
        }
        Ok(())
    }

    /// Kills the whole instance with SIGKILL, as a crash would; returns when none of its processes is left.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts it again on the same port with the same data, after stopping it if it still runs.
    ///
    /// # Errors
    /// The server doesn't start, or another process keeps the port for 10 s.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        let until = Instant::now() + PORT_DEADLINE;
        loop {
            match self.try_start().await? {
                Start::Ready(process) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Start::PortTaken(log) if Instant::now() >= until => {
                    bail!("{} can't start again, port {} is taken:\n{log}", self.name, self.port)
                }
                Start::PortTaken(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Removes the data of the stopped server; the next start begins without data.
    ///
    /// # Errors
    /// The server is running, or the folder can't be removed.
    pub fn wipe_data(&mut self) -> Result<()> {
        if self.is_running() {
            bail!("{} is running; stop it before wiping its data", self.name);
        }
        let folder = self.kind.wiped();
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", folder.display()))
            }
            _ => Ok(()),
        }
    }

    async fn try_start(&mut self) -> Result<Start> {
        let data = self.layout.data(&self.name)?;
        self.kind.prepare(self.port).await?;
        let mut command = self.layout.command(self.kind.program());
        command.args(self.kind.arguments(self.port)).current_dir(data);
        let began = Instant::now();
        let mut process = Process::spawn(&self.layout, command, &self.log(), K::STOP)?;
        self.pid = process.pid();
        self.write_pid()?;
        let start_timeout = self.kind.start_timeout();
        match timeout(start_timeout, self.until_ready(&mut process)).await {
            Ok(Ok(None)) => {
                self.start_time = began.elapsed();
                tracing::debug!(server = self.name, port = self.port, pid = self.pid, "server started");
                Ok(Start::Ready(Box::new(process)))
            }
            Ok(Ok(Some(status))) => self.explain(process, status).await,
            Ok(Err(error)) => {
                process.kill().await;
                Err(error)
            }
            Err(_) => {
                let lines = process.last_lines();
                process.kill().await;
                bail!("{} didn't respond within {} s; its log:\n{lines}", self.name, start_timeout.as_secs())
            }
        }
    }

    /// Writes the pid into the lock file, for the next owner in case this process is killed.
    fn write_pid(&self) -> Result<()> {
        self.claim.set_len(0)?;
        self.claim.write_all_at(self.pid.to_string().as_bytes(), 0).context("cannot write the server's pid")
    }

    /// Ends the server of a previous owner who was killed. Its guard may still be stopping it, and two servers on one data
    /// folder would corrupt it; so this waits for its end, and kills it if it stays.
    async fn end_predecessor(&self) -> Result<()> {
        let note = std::fs::read_to_string(self.layout.lock_path(&self.name))?;
        let program = self.kind.program().file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Ok(pid) = note.trim().parse() {
            tree::end_leftover(pid, &program, &self.layout.data(&self.name)?, K::STOP).await;
        }
        Ok(())
    }

    /// Returns `None` when the server responds, or its exit status if it ends before that.
    async fn until_ready(&self, process: &mut Process) -> Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = process.ended() {
                return Ok(Some(status));
            }
            let probe = timeout(PROBE_DEADLINE, self.kind.answers(self.port, self.pid)).await;
            match probe {
                Ok(Ok(true)) => return Ok(None),
                Ok(Err(error)) => tracing::trace!(server = self.name, %error, "server doesn't respond yet"),
                Ok(Ok(false)) | Err(_) => {}
            }
            sleep(PROBE_PAUSE).await;
        }
    }

    async fn explain(&self, process: Process, status: ExitStatus) -> Result<Start> {
        let lines = process.last_lines();
        process.stop(K::STOP).await;
        if lines.to_lowercase().contains("address already in use") {
            return Ok(Start::PortTaken(lines));
        }
        Err(anyhow!("{} ended while starting ({status}); its log {}:\n{lines}", self.name, self.log().display()))
    }
}

/// Claims an instance's name, waiting for an owner that is just ending.
pub(crate) async fn claim(layout: &Layout, name: &str) -> Result<File> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(file) = layout.claim(name)? {
            return Ok(file);
        }
        if Instant::now() >= until {
            bail!("the instance {name} is in use by another process");
        }
        sleep(Duration::from_millis(50)).await;
    }
}
