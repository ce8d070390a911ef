//! Where the fleet is whose databases are backed up.

use std::path::PathBuf;

use anyhow::Result;
use flotilla_servers::Layout;

/// A fleet's folders, and what its servers are called.
#[derive(Clone, Debug)]
pub struct FleetPaths {
    /// The fleet's folder: what is noted of an archive and of a restore is kept there.
    pub folder: PathBuf,
    /// The file with the fleet's credentials. Each base backup holds a copy, since its databases have those passwords.
    pub secrets: PathBuf,
    /// Folder of the servers' binaries and data.
    pub servers: PathBuf,
    /// What PostgreSQL is called there.
    pub postgres: String,
    /// What NATS is called there.
    pub nats: String,
    /// The services that own a database.
    pub databases: Vec<String>,
}

impl FleetPaths {
    /// The folder of the servers, opened.
    ///
    /// # Errors
    /// If it can't be.
    pub fn layout(&self) -> Result<Layout> {
        Layout::open(&self.servers)
    }
}
