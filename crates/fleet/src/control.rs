//! Up, down, restart, stop, start, reset: what an operator does, to a native fleet here, to one in containers by
//! `runtime::compose`.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use flotilla_process::Signal;
use flotilla_servers::{External, Layout, data_below, provision};
use flotilla_terminal::Progress;
use tokio::{process::Command, time::Instant};

use crate::{
    SERVICES, backup, certs,
    consent::Consent,
    home::Home,
    observability,
    runtime::{Runtime, compose},
    state::{Member, Phase, State},
    status,
};

/// Fetching servers over a slow line takes minutes; everything else seconds.
const UP_DEADLINE: Duration = Duration::from_secs(900);
/// Longer than the grace times of services and servers together.
const DOWN_DEADLINE: Duration = Duration::from_secs(90);
/// A member is back within this time, or something is wrong.
const RESTART_DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(30);
/// The instances that a fleet keeps in the folder of its servers: its servers' data, and what a benchmark leaves.
const INSTANCES: [&str; 4] = ["postgres", "nats", "redis", "bench"];

/// Starts the fleet where it isn't up, with TLS, with faults that can be switched on and with Prometheus and the others
/// beside it where asked, and prints its table.
///
/// # Errors
/// When it doesn't start, with the reason and the log to read.
pub async fn up(home: &Home, runtime: &str, tls: bool, faults: bool, observability: bool) -> Result<()> {
    if Runtime::named(runtime)? == Runtime::Compose {
        return compose::up(home, tls, faults, observability).await;
    }
    if home.in_containers() {
        bail!("the fleet is up in containers: run `make down` first");
    }
    let began = Instant::now();
    if home.is_running()? {
        if tls && !home.tls() {
            bail!("the fleet is up already, without TLS: run `make down` first");
        }
        if faults && !home.faults() {
            bail!("the fleet is up already, and allows no faults: run `make down` first");
        }
        if observability && !home.observability() {
            bail!("the fleet is up already, without Prometheus and the others: run `make down` first");
        }
        if State::of_running(home).is_ok() {
            println!("the fleet is up already");
            return status::print_table(home);
        }
    } else {
        if backup::unfinished(home) {
            bail!("a restore was interrupted: run `fleet restore` again");
        }
        home.set_tls(tls)?;
        home.set_faults(faults)?;
        home.set_observability(observability)?;
        backup::remember_own(home, &External::from_env())?;
        start_supervisor(home)?;
    }
    await_ready(home).await?;
    status::print_table(home)?;
    if home.observability() {
        observability::hints(home).iter().for_each(|hint| println!("{hint}"));
    }
    println!("up in {:.1} s; variables for a shell: {}", began.elapsed().as_secs_f64(), home.env().display());
    Ok(())
}

/// Starts the supervisor apart from this terminal.
fn start_supervisor(home: &Home) -> Result<()> {
    drop(fs::remove_file(home.state()));
    let log = home.open_log("supervisor")?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("--home").arg(home.root());
    if home.is_guest() {
        command.arg("--servers").arg(home.servers());
    }
    command.arg("supervise");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // Not awaited: it lives on. Its end shows in its lock and state.
    command.spawn().context("the supervisor can't start")?;
    Ok(())
}

async fn await_ready(home: &Home) -> Result<()> {
    let deadline = Instant::now() + UP_DEADLINE;
    let mut progress = Progress::new();
    let mut seen = false;
    while Instant::now() < deadline {
        let running = home.is_running()?;
        seen |= running;
        match State::read(home)?.map(|state| state.phase) {
            Some(Phase::Ready) if running => {
                progress.clear();
                return Ok(());
            }
            Some(Phase::Failed(reason)) => {
                progress.clear();
                bail!("{reason}\nthe log: {}", home.log("supervisor").display());
            }
            Some(Phase::Starting(what)) => progress.show(&what),
            _ if seen && !running => bail!("the supervisor ended: {} tells why", home.log("supervisor").display()),
            _ => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("the fleet isn't ready after {} s: {} tells more", UP_DEADLINE.as_secs(), home.log("supervisor").display())
}

/// Stops the fleet; nothing happens to one that isn't up.
///
/// # Errors
/// When it doesn't end in time.
pub async fn down(home: &Home) -> Result<()> {
    if home.in_containers() {
        return compose::down(home).await;
    }
    if !home.is_running()? {
        println!("the fleet isn't up");
        return Ok(());
    }
    let state = State::read(home)?.context("the supervisor hasn't said who it is yet: try again in a moment")?;
    flotilla_process::signal(state.supervisor, Signal::TERM)?;
    let deadline = Instant::now() + DOWN_DEADLINE;
    while home.is_running()? {
        if Instant::now() > deadline {
            bail!("the fleet doesn't stop: {} tells more", home.log("supervisor").display());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let kept = home.root().display();
    println!("{}", home.naming(&format!("the fleet is down; its data stays in {kept} (`make reset` forgets it)")));
    Ok(())
}

/// Restarts everything, or one member; a service by another binary where one is given, which is remembered for each
/// later start until `reset`.
///
/// # Errors
/// When a stop or a start fails, or a server is given a binary.
pub async fn restart(home: &Home, name: Option<&str>, binary: Option<&Path>) -> Result<()> {
    if let Some(binary) = binary {
        let name = name.filter(|name| SERVICES.contains(name)).context("--binary is for one service")?;
        State::of_running(home)?;
        home.set_binary(name, binary)?;
    }
    if home.in_containers() {
        return compose::act(home, "restart", name).await;
    }
    match name {
        None => {
            down(home).await?;
            up(home, "native", home.tls(), home.faults(), home.observability()).await
        }
        Some(name) => {
            hold(home, name).await?;
            release(home, name).await
        }
    }
}

/// Stops one member and waits until it has ended.
///
/// # Errors
/// When it isn't known or doesn't end.
pub async fn hold(home: &Home, name: &str) -> Result<()> {
    if home.in_containers() {
        return compose::act(home, "stop", Some(name)).await;
    }
    State::of_running(home)?.member(name)?;
    fs::write(home.hold(name), b"")?;
    until(home, name, "stop", |member| member.pid.is_none()).await?;
    println!("{name} is stopped; `{}` starts it again", home.command(&format!("start {name}")));
    Ok(())
}

/// Starts one member that was stopped and waits until it is ready.
///
/// # Errors
/// When it isn't known or doesn't become ready.
pub async fn release(home: &Home, name: &str) -> Result<()> {
    if home.in_containers() {
        return compose::act(home, "start", Some(name)).await;
    }
    State::of_running(home)?.member(name)?;
    match fs::remove_file(home.hold(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    until(home, name, "start", |member| member.start_ms.is_some()).await?;
    println!("{name} runs");
    Ok(())
}

async fn until(home: &Home, name: &str, what: &str, done: impl Fn(&Member) -> bool) -> Result<()> {
    let deadline = Instant::now() + RESTART_DEADLINE;
    while Instant::now() < deadline {
        if done(State::of_running(home)?.member(name)?) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("{name} doesn't {what} within {} s: `fleet logs {name}` tells more", RESTART_DEADLINE.as_secs())
}

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

/// What a reset destroys, and where.
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
    backup::forget(home)?;
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

/// [`reset`] for the command line: says what will be lost, asks for confirmation, and reports the result.
///
/// # Errors
/// Those of [`reset`], and if the user declines.
pub async fn reset_with(home: &Home, consent: Consent) -> Result<()> {
    refuse_running(home)?;
    consent.ask(home, "reset", &losses(home))?;
    let own = backup::own_servers(home);
    compose::forget(home).await?;
    reset(home)?;
    println!("forgotten: databases, streams, credentials, certificates and logs; the fetched servers stay");
    if !own.is_empty() {
        println!("your own {} keeps its databases and streams", own.join(" and "));
    }
    Ok(())
}

/// Gets the servers' binaries.
///
/// # Errors
/// When they can't be had; the text says what to do.
pub async fn fetch(home: &Home) -> Result<()> {
    let layout = Layout::open(home.servers())?;
    let binaries = provision(&layout, &|line: &str| println!("{line}")).await?;
    println!("{}", binaries.sources);
    Ok(())
}

/// A command of PostgreSQL's client tools, run as the servers' user.
///
/// # Errors
/// When the servers' binaries can't be had.
pub async fn postgres_tool(home: &Home, name: &str) -> Result<Command> {
    let layout = Layout::open(home.servers())?;
    let binaries = provision(&layout, &|_: &str| {}).await?;
    Ok(layout.command(&binaries.postgres.join(name)))
}
