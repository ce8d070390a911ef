//! `fleet reset`: deletes all data of a stopped fleet.

use std::fs;

use anyhow::{Result, bail};
use flotilla_backup::restore;
use flotilla_servers::{Layout, data_below};

use super::confirmation::Confirmation;
use crate::{
    certs,
    home::{Home, own_servers},
    runtime::compose,
};

/// The instances that a fleet has in the folder of its servers: its servers, and what a benchmark leaves.
const INSTANCES: [&str; 4] = ["postgres", "nats", "redis", "bench"];

/// Refuses commands that need a stopped fleet.
///
/// # Errors
/// If the fleet is running.
pub fn refuse_running(home: &Home) -> Result<()> {
    if home.is_running()? {
        bail!("the fleet is up: run `make down` first");
    }
    Ok(())
}

/// What a reset deletes, and where.
#[must_use]
pub fn losses(home: &Home) -> Vec<String> {
    let mut losses = Vec::new();
    for (name, what) in [("postgres", "databases"), ("nats", "streams"), ("redis", "cache")] {
        if let Some(data) = data_below(home.servers(), &home.server_name(name)) {
            losses.push(format!("the {what} in {}", data.display()));
        }
    }
    if home.containers().exists() {
        losses.push(format!("the volumes of the containers of the project {}", home.project()));
    }
    let kept = [
        (home.secrets(), "credentials"),
        (certs::folder(home), "certificates"),
        (home.root().join("observability"), "metrics and traces"),
    ];
    let kept: Vec<_> = kept.iter().filter(|(path, _)| path.exists()).map(|(_, what)| *what).collect();
    if !kept.is_empty() {
        losses.push(format!("{} in {}", kept.join(", "), home.root().display()));
    }
    losses
}

/// Deletes all data of a stopped fleet, and no other fleet's.
///
/// # Errors
/// If the fleet is running, or a file can't be removed.
pub fn reset(home: &Home) -> Result<()> {
    refuse_running(home)?;
    let instances: Vec<_> = INSTANCES.iter().map(|name| home.server_name(name)).collect();
    Layout::open(home.servers())?.forget(&instances)?;
    for path in [home.state(), home.env(), home.secrets(), home.external()] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    match fs::remove_dir_all(certs::folder(home)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => home.set_tls(false)?,
    }
    home.set_faults(false)?;
    home.set_observability(false)?;
    restore::forget(home.root())?;
    home.forget_binaries()?;
    match fs::remove_dir_all(home.root().join("observability")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for entry in fs::read_dir(home.root().join("logs"))? {
        drop(fs::remove_file(entry?.path()));
    }
    home.forget_place()
}

/// [`reset`] for the command line: lists what will be lost, asks for confirmation, and reports the result.
///
/// # Errors
/// Those of [`reset`], and if the user declines.
pub async fn run(home: &Home, confirmation: Confirmation) -> Result<()> {
    refuse_running(home)?;
    confirmation.ask(home, "reset", &losses(home))?;
    let own = own_servers::names(home);
    compose::forget(home).await?;
    reset(home)?;
    println!("deleted: databases, streams, credentials, certificates and logs; the downloaded servers are kept");
    if !own.is_empty() {
        println!("the databases and streams in your own {} are kept", own.join(" and "));
    }
    Ok(())
}
