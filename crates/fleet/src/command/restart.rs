//! `fleet restart`: everything, or one member, also with another build of a service.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use flotilla_config::unknown;

use crate::{
    SERVICES,
    home::{Home, state::State},
    runtime,
};

/// Options of `fleet restart`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Service or server (default: the whole fleet).
    pub name: Option<String>,
    /// Path of another `flotilla` binary for the service, used from now on until `reset`.
    #[arg(long, requires = "name")]
    pub binary: Option<PathBuf>,
}

/// Restarts everything, or one member. A service may be given another binary, which is used for each later start until
/// `reset`.
///
/// # Errors
/// When a stop or a start fails, or a server is given a binary.
pub async fn run(home: &Home, options: &Options) -> Result<()> {
    let name = options.name.as_deref();
    if let Some(binary) = &options.binary {
        set_binary(home, name, binary)?;
    }
    runtime::of(home).restart(home, name).await
}

fn set_binary(home: &Home, name: Option<&str>, binary: &Path) -> Result<()> {
    let name = name.context("--binary needs the name of a service")?;
    if !SERVICES.contains(&name) {
        bail!("--binary is for a service: {}", unknown("service", name, SERVICES));
    }
    if State::of_running(home)?.member(name)?.process.is_some() {
        bail!("--binary needs a process for each service: run `fleet down`, then `fleet up` without --one-process");
    }
    home.set_binary(name, binary)
}
