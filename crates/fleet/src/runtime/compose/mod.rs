//! The fleet as containers on this machine: this runs `docker compose` and reports the result.
//!
//! Owns `.flotilla/compose/`: the secrets' files, the file `project`, which exists from `up` until `down` has
//! succeeded, and the file `name` with the project's name, which is kept until `reset`. Containers and volumes have
//! that name as a prefix; no other home uses it, so nothing else is ever touched.

mod containers;
mod program;
mod published;
mod secret_files;

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use flotilla_config::{nearest, unknown};
use tokio::time::Instant;

use self::{
    containers::{Container, containers, memory},
    program::{compose, docker, finish},
};
use super::{LogOptions, Runtime, UpOptions};
use crate::{
    SERVERS, SERVICES,
    credentials::secrets::Secrets,
    home::{Home, ports},
};

/// What `--runtime` calls it.
pub const NAME: &str = "compose";
/// Pulling the servers' images over a slow line takes minutes.
const UP_DEADLINE: Duration = Duration::from_secs(600);
/// Longer than the grace periods of all containers.
const DOWN_DEADLINE: Duration = Duration::from_secs(120);
/// Compose and Docker answer questions within this time.
const ASK_DEADLINE: Duration = Duration::from_secs(30);
/// The Compose files, unless `FLOTILLA_COMPOSE_FILES` names others; later ones override earlier ones.
const FILES: &str = "compose/compose.yaml:compose/local.yaml";

/// Containers of this machine.
pub struct Compose;

#[async_trait]
impl Runtime for Compose {
    async fn up(&self, home: &Home, options: UpOptions) -> Result<()> {
        let UpOptions { tls, faults, observability, one_process } = options;
        if one_process {
            bail!("--one-process works only natively; in containers, each service has an image of its own");
        }
        if tls {
            bail!("TLS=1 works only natively; in containers, mount certificates yourself or use Kubernetes");
        }
        if !home.in_containers() && home.is_running()? {
            bail!("the fleet is up natively: run `make down` first");
        }
        let began = Instant::now();
        let secrets = Secrets::complete(home)?;
        let folder = home.containers().join("secrets");
        secret_files::write(&folder, &secrets)?;
        program::remember(home)?;
        let mut command = compose(home);
        for (variable, port) in published(home)? {
            command.env(variable, port.to_string());
        }
        let names = std::env::var("FLOTILLA_COMPOSE_FILES").unwrap_or_else(|_| FILES.to_owned());
        for name in names.split(':') {
            if !PathBuf::from(name).exists() {
                bail!("{name} is missing: run this in a checkout of Flotilla");
            }
            command.args(["--file", name]);
        }
        if observability {
            command.args(["--profile", "observability"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        }
        command
            .args(["up", "--detach", "--no-build", "--remove-orphans", "--wait", "--wait-timeout", "300"])
            .env("FLOTILLA_COMPOSE_SECRETS", &folder)
            .env("FLOTILLA_ADMIN_EMAIL", &secrets.admin_email)
            .env("FLOTILLA_FAULTS", faults.to_string());
        home.remember_project()?;
        for file in ["name", "project"] {
            home.write_private(&home.containers().join(file), home.project().as_bytes())?;
        }
        println!("starting containers");
        if let Err(error) = finish(command, UP_DEADLINE).await {
            bail!("{error:#}\nrun `fleet logs` to see why, `make down` to clean up");
        }
        let found = running(home).await?;
        let state = published::state(&found, &secrets)?;
        home.write_private(&home.state(), &serde_json::to_vec_pretty(&state)?)?;
        published::write_variables(home, &state, &secrets)?;
        print_table(home, &found).await?;
        println!("up in {:.1} s; variables for a shell: {}", began.elapsed().as_secs_f64(), home.env().display());
        Ok(())
    }

    async fn down(&self, home: &Home) -> Result<()> {
        let mut command = compose(home);
        command.args(["--profile", "*", "down"]);
        finish(command, DOWN_DEADLINE).await?;
        fs::remove_file(home.containers().join("project"))?;
        drop(fs::remove_file(home.state()));
        println!(
            "{}",
            home.naming("the fleet is down; its data is kept in Docker's volumes (`make reset` deletes it)")
        );
        Ok(())
    }

    async fn restart(&self, home: &Home, name: Option<&str>) -> Result<()> {
        act(home, "restart", name).await
    }

    async fn stop(&self, home: &Home, name: &str) -> Result<()> {
        act(home, "stop", Some(name)).await
    }

    async fn start(&self, home: &Home, name: &str) -> Result<()> {
        act(home, "start", Some(name)).await
    }

    async fn status(&self, home: &Home, json: bool) -> Result<bool> {
        let found = running(home).await?;
        if json {
            println!("{}", published::state(&found, &Secrets::load(home)?)?.to_json()?);
        } else {
            print_table(home, &found).await?;
        }
        let named = SERVICES.iter().chain(&SERVERS);
        Ok(named
            .into_iter()
            .all(|name| found.iter().any(|container| container.service == *name && container.is_healthy())))
    }

    async fn logs(&self, home: &Home, options: LogOptions<'_>) -> Result<()> {
        let LogOptions { name, follow, lines } = options;
        refuse_typo(name)?;
        let mut command = compose(home);
        command.args(["logs", "--tail", &lines.to_string()]).args(follow.then_some("--follow")).args(name);
        let status = command.status().await.context("can't run Compose")?;
        if !status.success() {
            bail!("Compose can't print the logs ({status})");
        }
        Ok(())
    }

    fn require_processes(&self) -> Result<()> {
        bail!("this needs a native fleet: run `make down`, then `make up`")
    }

    fn require_backups(&self) -> Result<()> {
        bail!("the fleet runs in containers: follow docs/runbooks/restore-databases.md")
    }
}

/// Deletes the volumes and secrets of a fleet that ran here and is down.
///
/// # Errors
/// If Compose fails, or the fleet is up.
pub async fn forget(home: &Home) -> Result<()> {
    if !home.containers().exists() {
        return Ok(());
    }
    if home.in_containers() {
        bail!("the fleet is up: run `make down` first");
    }
    let mut command = compose(home);
    command.args(["--profile", "*", "down", "--volumes"]);
    finish(command, DOWN_DEADLINE).await?;
    Ok(fs::remove_dir_all(home.containers())?)
}

/// Starts, stops or restarts the containers, or one of them.
///
/// # Errors
/// If Compose fails or doesn't know the container.
async fn act(home: &Home, what: &str, name: Option<&str>) -> Result<()> {
    refuse_typo(name)?;
    let mut command = compose(home);
    command.arg(what).args(name);
    finish(command, DOWN_DEADLINE).await?;
    println!("{what}: {} done", name.unwrap_or("the fleet"));
    Ok(())
}

/// Other project names are left to Compose: further files may define them, and Compose refuses unknown ones.
fn refuse_typo(name: Option<&str>) -> Result<()> {
    let known = || SERVICES.into_iter().chain(SERVERS);
    match name {
        Some(name) if known().all(|known| known != name) && nearest(name, known()).is_some() => {
            bail!(unknown("service or server", name, known()))
        }
        _ => Ok(()),
    }
}

/// The variables of `local.yaml` with a port for each service and server. Running containers keep their ports, others
/// get those of the last run if they are free, so that a restarted container has the address that others know.
fn published(home: &Home) -> Result<Vec<(String, u16)>> {
    const FILE: &str = "compose/ports.json";
    let of_running = || -> Option<BTreeMap<String, u16>> {
        home.in_containers()
            .then(|| fs::read(home.root().join(FILE)).ok())
            .flatten()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
    };
    let names = SERVICES.iter().chain(&SERVERS).map(|name| (*name).to_owned());
    let names: Vec<String> = names.chain(SERVICES.iter().map(|name| format!("{name}_admin"))).collect();
    let chosen = of_running().map_or_else(|| ports::pick(home, FILE, &names), Ok)?;
    Ok(chosen.into_iter().map(|(name, port)| (format!("FLOTILLA_PORT_{}", name.to_uppercase()), port)).collect())
}

/// The containers of services and servers.
async fn running(home: &Home) -> Result<Vec<Container>> {
    let mut command = compose(home);
    command.args(["ps", "--format", "json"]);
    containers(&finish(command, ASK_DEADLINE).await?)
}

async fn print_table(home: &Home, found: &[Container]) -> Result<()> {
    let mut command = docker(home);
    command.args(["stats", "--no-stream", "--format", "{{json .}}"]);
    command.args(found.iter().map(|container| &container.name)).kill_on_drop(true);
    published::print_table(found, &memory(&finish(command, ASK_DEADLINE).await?)?);
    Ok(())
}
