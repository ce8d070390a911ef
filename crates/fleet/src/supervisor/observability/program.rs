//! One program under supervision: its start, its readiness, its restarts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::{
    home::Home,
    services::probe,
    supervisor::{
        keep_alive::{self, RestartPolicy, Supervised},
        shared_state::SharedState,
    },
};

/// A program with its command line.
pub struct Program {
    /// Its name in the table and of its log.
    pub name: &'static str,
    /// Its URL, as it is shown.
    pub address: String,
    path: PathBuf,
    args: Vec<String>,
    variables: Vec<(&'static str, String)>,
    probe: (String, &'static str),
}

impl Program {
    /// A program that reports its readiness at a path of its address.
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

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args.extend(args);
        self
    }

    /// Adds environment variables.
    pub fn variables(mut self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Runs the program and restarts it until `stop`, then terminates it.
    pub async fn keep_alive(self, home: Home, shared: Arc<SharedState>, stop: CancellationToken) {
        keep_alive::keep_alive(&self, &home, &shared, &stop).await;
    }
}

impl Supervised for Program {
    const POLICY: RestartPolicy = RestartPolicy {
        first: Duration::from_millis(200),
        longest: Duration::from_secs(30),
        long_life: Duration::from_secs(60),
        ready: Duration::from_millis(50),
    };

    fn name(&self) -> &'static str {
        self.name
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.path);
        command.args(&self.args).envs(self.variables.iter().map(|(name, value)| (name, value)));
        // Unpacked Debian programs look for their pages and templates beside their executable.
        command.current_dir(self.path.parent().unwrap_or(Path::new("/")));
        Ok(command)
    }

    async fn is_ready(&self) -> bool {
        let (address, path) = &self.probe;
        probe::status(address, path).await.is_ok_and(|status| status == 200)
    }
}
