//! The folders of the fleet whose databases are backed up.

use std::path::PathBuf;

use anyhow::Result;
use flotilla_servers::Layout;

/// A fleet's folders and the names of its servers.
#[derive(Clone, Debug)]
pub struct FleetPaths {
    /// The fleet's folder, with the records of archive and restore.
    pub folder: PathBuf,
    /// The file with the fleet's credentials. Each base backup holds a copy, since its databases have those passwords.
    pub secrets: PathBuf,
    /// Folder of the servers' binaries and data.
    pub servers: PathBuf,
    /// The name of PostgreSQL there.
    pub postgres: String,
    /// The name of NATS there.
    pub nats: String,
    /// The services that own a database.
    pub databases: Vec<String>,
}

impl FleetPaths {
    /// Opens the folder of the servers.
    ///
    /// # Errors
    /// If it can't be.
    pub fn layout(&self) -> Result<Layout> {
        Layout::open(&self.servers)
    }
}
