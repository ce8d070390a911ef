//! Redis or Valkey, as a cache: nothing is written to disk.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::instance::{self, Kind, Server};
use crate::layout::Layout;
use crate::provision::Binaries;

/// Options of an instance.
#[derive(Clone, Default)]
pub struct RedisOptions {
    /// The preferred port; another is chosen if it is taken.
    pub port: Option<u16>,
    /// Settings as in `redis.conf`, such as `("maxmemory", "64mb")`.
    pub settings: Vec<(String, String)>,
    /// The password (letters, digits, '-', '_') that every client must send. Without a password any local user can
    /// connect.
    pub password: Option<String>,
}

/// A private Redis or Valkey.
pub type Redis = Server<RedisKind>;

/// Redis or Valkey as a kind of server.
pub struct RedisKind {
    program: PathBuf,
    layout: Layout,
    data: PathBuf,
    settings: Vec<(String, String)>,
    password: Option<String>,
}

/// Omits the password.
impl fmt::Debug for RedisKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisKind").field("program", &self.program).field("data", &self.data).finish_non_exhaustive()
    }
}

impl Server<RedisKind> {
    /// Starts the server and waits until it responds.
    ///
    /// # Errors
    /// The name is in use by another process, or the server doesn't start; the error then has the end of its log.
    pub async fn start(binaries: &Binaries, layout: &Layout, name: &str, options: RedisOptions) -> Result<Self> {
        let claim = instance::claim(layout, name).await?;
        let program = binaries.redis_server.clone();
        let kind = RedisKind {
            program,
            layout: layout.clone(),
            data: layout.data(name)?,
            settings: options.settings,
            password: options.password,
        };
        Self::launch(kind, layout, name, options.port, claim).await
    }

    /// `redis://127.0.0.1:PORT`, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        let password = self.kind.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}", self.port())
    }
}

impl RedisKind {
    fn file(&self) -> PathBuf {
        self.data.join("redis.conf")
    }
}

impl Kind for RedisKind {
    const STOP: Signal = Signal::TERM;

    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, port: u16) -> Vec<OsString> {
        let port = port.to_string();
        let fixed = [
            ("port", port.as_str()),
            ("bind", "127.0.0.1"),
            ("daemonize", "no"),
            ("save", ""),
            ("appendonly", "no"),
            // The log goes to standard output, which is the instance's log file.
            ("logfile", ""),
        ];
        let mut arguments = Vec::new();
        // Every user of the machine can read a process's arguments, so the password is in a file.
        if self.password.is_some() {
            arguments.push(self.file().into());
        }
        let own = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in fixed.into_iter().chain(own) {
            arguments.push(format!("--{name}").into());
            arguments.push(value.into());
        }
        arguments.push("--dir".into());
        arguments.push(self.data.clone().into());
        arguments
    }

    async fn prepare(&mut self, _port: u16) -> Result<()> {
        match &self.password {
            Some(password) => self.layout.write_private(&self.file(), &format!("requirepass {password}\n")),
            None => Ok(()),
        }
    }

    /// The server reports its process id itself.
    async fn answers(&self, port: u16, pid: u32) -> Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        if let Some(password) = &self.password {
            stream.write_all(format!("AUTH {password}\r\n").as_bytes()).await?;
        }
        stream.write_all(b"INFO server\r\n").await?;
        let mut lines = BufReader::new(stream).lines();
        // The response has some twenty lines and no end mark that a line reader could detect.
        for _ in 0..64 {
            let Some(line) = lines.next_line().await? else { return Ok(false) };
            if let Some(answer) = line.strip_prefix("process_id:") {
                return Ok(answer.trim() == pid.to_string());
            }
        }
        Ok(false)
    }

    fn wiped(&self) -> PathBuf {
        self.data.clone()
    }
}
