//! The fleet as containers of this machine: `docker compose` does the work; this runs it and reports the result.
//!
//! Owns `.flotilla/compose/`: the secrets' files, the file `project`, which is there from `up` until `down` has succeeded,
//! and the file `name` with the project's name, which stays until `reset`. Containers and volumes carry that name, which
//! is of one home alone, so that nothing else is ever touched.

use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use flotilla_config::{nearest, unknown};
use tokio::{process::Command, time::Instant};

use super::{
    containers::{Container, containers, memory},
    files, told,
};
use crate::{SERVERS, SERVICES, home::Home, secrets::Secrets, status, supervisor::ports};

/// Pulling the servers' images over a slow line takes minutes.
const UP_DEADLINE: Duration = Duration::from_secs(600);
/// Longer than the grace times of all containers.
const DOWN_DEADLINE: Duration = Duration::from_secs(120);
/// Compose and Docker answer questions within this time.
const ASK_DEADLINE: Duration = Duration::from_secs(30);
/// What is laid over what, unless `FLOTILLA_COMPOSE_FILES` says otherwise.
const FILES: &str = "compose/compose.yaml:compose/local.yaml";
/// Programs that may be others than usual: the variable that names each, and the file that remembers it after `up`.
const PROGRAMS: [(&str, &str); 2] = [("FLOTILLA_COMPOSE", "compose"), ("FLOTILLA_DOCKER", "docker")];

/// Starts the containers, waits until all are healthy and prints their table.
///
/// # Errors
/// When they don't come up; with what Compose said.
pub async fn up(home: &Home, tls: bool, faults: bool, observability: bool) -> Result<()> {
    if tls {
        bail!("TLS=1 is offered natively only: certificates for containers are Kubernetes' or yours to mount");
    }
    if !home.in_containers() && home.is_running()? {
        bail!("the fleet is up natively: run `make down` first");
    }
    let began = Instant::now();
    let secrets = Secrets::complete(home)?;
    let folder = home.containers().join("secrets");
    files::write(&folder, &secrets)?;
    remember_programs(home)?;
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
        bail!("{error:#}\n`fleet logs` tells more, `make down` clears up");
    }
    let found = running(home).await?;
    let state = told::state(&found, &secrets)?;
    home.write_private(&home.state(), &serde_json::to_vec_pretty(&state)?)?;
    told::write_variables(home, &state, &secrets)?;
    print_table(home, &found).await?;
    println!("up in {:.1} s; variables for a shell: {}", began.elapsed().as_secs_f64(), home.env().display());
    Ok(())
}

/// Stops and removes the containers; data stays in their volumes.
///
/// # Errors
/// When Compose can't.
pub async fn down(home: &Home) -> Result<()> {
    let mut command = compose(home);
    command.args(["--profile", "*", "down"]);
    finish(command, DOWN_DEADLINE).await?;
    fs::remove_file(home.containers().join("project"))?;
    drop(fs::remove_file(home.state()));
    println!("{}", home.naming("the fleet is down; its data stays in Docker's volumes (`make reset` forgets it)"));
    Ok(())
}

/// Forgets volumes and secrets of a fleet that was once up here and is down.
///
/// # Errors
/// When Compose can't, or the fleet is up.
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
/// When Compose can't, or doesn't know it.
pub async fn act(home: &Home, what: &str, name: Option<&str>) -> Result<()> {
    refuse_typo(name)?;
    let mut command = compose(home);
    command.arg(what).args(name);
    finish(command, DOWN_DEADLINE).await?;
    println!("{what}: {} done", name.unwrap_or("the fleet"));
    Ok(())
}

/// Prints what the containers log.
///
/// # Errors
/// When Compose can't, or doesn't know the service.
pub async fn logs(home: &Home, name: Option<&str>, follow: bool, lines: usize) -> Result<()> {
    refuse_typo(name)?;
    let mut command = compose(home);
    command.args(["logs", "--tail", &lines.to_string()]).args(follow.then_some("--follow")).args(name);
    let status = command.status().await.context("Compose can't be run")?;
    if !status.success() {
        bail!("Compose can't tell logs ({status})");
    }
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

/// Prints the table, or JSON; whether every container is well.
///
/// # Errors
/// When Compose or Docker doesn't answer.
pub async fn status(home: &Home, json: bool) -> Result<bool> {
    let found = running(home).await?;
    if json {
        println!("{}", status::json(&told::state(&found, &Secrets::load(home)?)?)?);
    } else {
        print_table(home, &found).await?;
    }
    let named = SERVICES.iter().chain(&SERVERS);
    Ok(named.into_iter().all(|name| found.iter().any(|container| container.service == *name && container.is_well())))
}

/// The command for this fleet's project: `FLOTILLA_COMPOSE`, else Docker's plugin.
fn compose(home: &Home) -> Command {
    let mut command = match program(home, PROGRAMS[0]) {
        Some(path) => Command::new(path),
        None => {
            let mut command = docker(home);
            command.arg("compose");
            command
        }
    };
    command.args(["--project-name", home.project()]).kill_on_drop(true);
    command
}

/// The variables of `local.yaml` with a port for each service and server. Those of containers that run are kept, and those
/// of the last run where they are free: a container that starts again has the address that others know.
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

fn docker(home: &Home) -> Command {
    Command::new(program(home, PROGRAMS[1]).unwrap_or_else(|| "docker".into()))
}

/// A program as its variable names it now, or named it at the last `up`.
fn program(home: &Home, (variable, file): (&str, &str)) -> Option<OsString> {
    let given = std::env::var_os(variable).filter(|path| !path.is_empty());
    given.or_else(|| fs::read_to_string(home.containers().join(file)).ok().map(OsString::from))
}

/// So that `down` needs no variables: it may be typed in another shell.
fn remember_programs(home: &Home) -> Result<()> {
    for (variable, file) in PROGRAMS {
        let Some(given) = std::env::var_os(variable).filter(|path| !path.is_empty()) else { continue };
        let path = PathBuf::from(&given);
        // A bare name is looked for on PATH, a path is from here.
        let path = if path.components().count() > 1 { std::path::absolute(path)? } else { path };
        home.write_private(&home.containers().join(file), path.as_os_str().as_encoded_bytes())?;
    }
    Ok(())
}

/// Runs a command to its end and returns what it printed.
async fn finish(mut command: Command, deadline: Duration) -> Result<String> {
    let run = command.stdin(Stdio::null()).output();
    let output = tokio::time::timeout(deadline, run)
        .await
        .with_context(|| format!("no end within {} s", deadline.as_secs()))?
        .context("docker can't be run: install Docker with its Compose plugin, or set FLOTILLA_COMPOSE")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = text.lines().rev().take(12).collect();
        bail!("{}: {}", output.status, last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(String::from_utf8(output.stdout)?)
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
    told::print_table(found, &memory(&finish(command, ASK_DEADLINE).await?)?);
    Ok(())
}
