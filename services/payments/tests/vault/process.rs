//! The process of payments.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A running payments.
pub struct Process {
    child: Child,
    admin: String,
    pub grpc: String,
    output: PathBuf,
}

impl Process {
    pub fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let admin = format!("127.0.0.1:{}", flotilla_servers::free_port().unwrap());
        let grpc = format!("127.0.0.1:{}", flotilla_servers::free_port().unwrap());
        let output = folder.join("output");
        let log = std::fs::File::create(&output).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_flotilla-payments"))
            .current_dir(folder)
            .env_clear()
            .env("FLOTILLA__SERVICE__ADMIN_LISTEN", &admin)
            .env("FLOTILLA__GRPC__LISTEN", &grpc)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, admin, grpc: format!("http://{grpc}"), output }
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    /// Asks the admin port: the status, and the body.
    async fn ask(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.to_owned()))
    }

    pub async fn is_ready(&self) -> bool {
        matches!(self.ask("/readyz").await, Ok((200, _)))
    }

    pub async fn config(&self) -> Value {
        serde_json::from_str(&self.ask("/config").await.unwrap().1).unwrap()
    }

    /// A counter or gauge, by its whole name with its labels.
    pub async fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.ask("/metrics").await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits for something, as long as the process lives.
    pub async fn until(&mut self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let end = tokio::time::Instant::now() + TIMEOUT;
        while !is_so(self).await {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended, {ended:?}, before {what}:\n{}", self.output());
            assert!(tokio::time::Instant::now() < end, "not in time: {what}\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks it to stop, as an orchestrator does.
    pub async fn stop(&mut self) -> ExitStatus {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        self.ended().await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(TIMEOUT, self.child.wait()).await.expect("it ends in time").unwrap()
    }
}
