//! nats-server with JetStream.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::instance::{self, Kind, Server};
use crate::layout::Layout;
use crate::ports;
use crate::provision::Binaries;

/// A user of NATS.
#[derive(Clone)]
pub struct NatsUser {
    /// The name.
    pub name: String,
    /// The password: letters, digits, '-', '_'.
    pub password: String,
    /// Subjects to which this user may not publish; wildcards are allowed.
    pub may_not_publish: Vec<String>,
}

/// Omits the password.
impl fmt::Debug for NatsUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsUser").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NatsUser {
    /// An address with the user's name and password: `nats://127.0.0.1:4222` becomes `nats://NAME:PASSWORD@...`.
    #[must_use]
    pub fn at(&self, url: &str) -> String {
        url.replacen("://", &format!("://{}:{}@", self.name, self.password), 1)
    }
}

/// Configuration lines that admit only these users. Streams are kept when users are added to a server without any,
/// because they share its only account.
#[must_use]
pub fn authorization(users: &[NatsUser]) -> String {
    let mut text = "authorization {\n  users: [\n".to_owned();
    for NatsUser { name, password, may_not_publish } in users {
        text += &format!("    {{user: {name:?}, password: {password:?}");
        if !may_not_publish.is_empty() {
            text += &format!(", permissions: {{publish: {{deny: {may_not_publish:?}}}}}");
        }
        text += "}\n";
    }
    text + "  ]\n}\n"
}

/// Options of an instance.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// The users. If empty, any local user can connect.
    pub users: Vec<NatsUser>,
    /// The preferred port; another is chosen if it is taken.
    pub port: Option<u16>,
    /// The preferred port of the monitoring endpoint.
    pub monitor_port: Option<u16>,
    /// Enables JetStream, with streams on disk.
    pub jetstream: bool,
    /// Syncs each write to disk before it is acked; otherwise a power failure can lose the last two minutes.
    pub sync_always: bool,
    /// Lines added to the configuration file.
    pub extra: String,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            port: None,
            monitor_port: None,
            jetstream: true,
            sync_always: false,
            extra: String::new(),
        }
    }
}

/// A private nats-server.
pub type Nats = Server<NatsKind>;

/// nats-server as a kind of server.
#[derive(Debug)]
pub struct NatsKind {
    program: PathBuf,
    layout: Layout,
    data: PathBuf,
    server_name: String,
    monitor_port: u16,
    options: NatsOptions,
}

impl Server<NatsKind> {
    /// Starts nats-server and waits until it responds.
    ///
    /// # Errors
    /// The name is in use by another process, or the server doesn't start; the error then has the end of its log.
    pub async fn start(binaries: &Binaries, layout: &Layout, name: &str, options: NatsOptions) -> Result<Self> {
        let claim = instance::claim(layout, name).await?;
        let monitor = options.monitor_port.filter(|port| ports::is_free(*port));
        let kind = NatsKind {
            program: binaries.nats_server.clone(),
            layout: layout.clone(),
            data: layout.data(name)?,
            // Distinguishes it from another server that may have taken the port.
            server_name: format!("{name}-{}", std::process::id()),
            monitor_port: monitor.map_or_else(ports::free_port, Ok)?,
            options,
        };
        let wanted = kind.options.port;
        Self::launch(kind, layout, name, wanted, claim).await
    }

    /// `nats://127.0.0.1:PORT`, without a user: [`NatsUser::at`] adds it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }

    /// `http://127.0.0.1:PORT` of the monitoring endpoint (`/varz`, `/jsz`, `/healthz`).
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.kind.monitor_port)
    }

    /// The JetStream folder.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.kind.store_dir()
    }
}

impl NatsKind {
    fn store_dir(&self) -> PathBuf {
        self.data.join("jetstream")
    }

    fn file(&self) -> PathBuf {
        self.data.join("nats.conf")
    }

    fn configuration(&self, port: u16) -> String {
        let mut text = format!(
            "server_name: {:?}\nhost: \"127.0.0.1\"\nport: {port}\nhttp: \"127.0.0.1:{}\"\n",
            self.server_name, self.monitor_port
        );
        if self.options.jetstream {
            let sync = if self.options.sync_always { "always" } else { "2m" };
            text += &format!(
                "jetstream {{\n  store_dir: {:?}\n  max_file_store: 8GB\n  max_memory_store: 256MB\n  sync_interval: {sync}\n}}\n",
                self.store_dir()
            );
        }
        if !self.options.users.is_empty() {
            text += &authorization(&self.options.users);
        }
        text + &self.options.extra + "\n"
    }
}

impl Kind for NatsKind {
    const STOP: Signal = Signal::TERM;

    fn program(&self) -> &Path {
        &self.program
    }

    fn arguments(&self, _port: u16) -> Vec<OsString> {
        vec!["--config".into(), self.file().into()]
    }

    async fn prepare(&mut self, port: u16) -> Result<()> {
        self.layout.write_private(&self.file(), &self.configuration(port))
    }

    /// The greeting has the server's name; the port opens only after JetStream has recovered its streams.
    async fn answers(&self, port: u16, _pid: u32) -> Result<bool> {
        let mut greeting = String::new();
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        BufReader::new(stream).read_line(&mut greeting).await?;
        let Some(json) = greeting.strip_prefix("INFO ") else { return Ok(false) };
        let info: serde_json::Value = serde_json::from_str(json)?;
        Ok(info["server_name"] == self.server_name.as_str())
    }

    fn move_ports(&mut self) -> Result<()> {
        self.monitor_port = ports::free_port()?;
        Ok(())
    }

    fn wiped(&self) -> PathBuf {
        self.store_dir()
    }
}
