//! What a workload needs of its fleet: addresses, credentials, members, and for chaos a supervisor.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use flotilla_checker::Stores;
use flotilla_rpc::ClientSettings;

/// Credentials to sign in with. They contain a password, so there is no `Debug`.
#[derive(Clone)]
pub struct Credentials {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
}

/// A service or a server of the fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// Service or server.
    pub name: String,
    /// Host and port of a service, URL of a server.
    pub address: String,
    /// Host and port of a service's admin endpoints, and the path below which they are.
    pub admin: Option<String>,
    /// Process id; absent while it isn't running.
    pub pid: Option<u32>,
    /// Time from start to ready, in milliseconds; absent until it is ready.
    pub start_ms: Option<u64>,
    /// Whether it is a service (or else a server).
    pub is_service: bool,
    /// The process that it shares with others, if it does.
    pub process: Option<String>,
}

impl Member {
    /// The name of its process: its own, unless it shares one.
    #[must_use]
    pub fn process(&self) -> &str {
        self.process.as_deref().unwrap_or(&self.name)
    }
}

/// A snapshot of a running fleet.
#[derive(Clone)]
pub struct Fleet {
    /// URL of the gateway.
    pub gateway_url: String,
    /// The settings to call the gateway with.
    pub client: ClientSettings,
    /// Credentials of an operator, who may import products and top up accounts.
    pub operator: Credentials,
    /// Databases and broker.
    pub stores: Stores,
    /// Services and servers.
    pub members: Vec<Member>,
}

impl Fleet {
    /// A member by its name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn member(&self, name: &str) -> Result<&Member> {
        let found = self.members.iter().find(|member| member.name == name);
        found.with_context(|| format!("the fleet has no member {name:?}"))
    }

    /// The services.
    pub fn services(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_service)
    }

    /// Whether the services use TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.client.tls.is_some()
    }
}

/// The fleet's supervisor, as chaos needs it: it lists members and can keep a server stopped.
pub trait Supervisor: Clone + Send + Sync + 'static {
    /// The current members.
    ///
    /// # Errors
    /// If the fleet isn't up.
    fn members(&self) -> Result<Vec<Member>>;

    /// Keeps a member from being restarted until [`release`](Self::release).
    ///
    /// # Errors
    /// If the supervisor can't be reached.
    fn hold(&self, name: &str) -> Result<()>;

    /// Allows a held member to be restarted.
    ///
    /// # Errors
    /// If the supervisor can't be reached.
    fn release(&self, name: &str) -> Result<()>;

    /// The folder of a server's data.
    ///
    /// # Errors
    /// If the server has none on this machine.
    fn data(&self, name: &str) -> Result<PathBuf>;
}
