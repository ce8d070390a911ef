//! A fleet as processes of this machine, under a supervisor of its own (`supervisor`) that outlives the command.

mod logs;
mod start;
mod table;
mod tail;

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use flotilla_backup::restore;
use flotilla_process::Signal;
use flotilla_servers::External;
use tokio::time::Instant;

use super::{LogOptions, Runtime, UpOptions};
use crate::{
    SERVICES,
    home::{
        Home, own_servers,
        state::{Member, Phase, State},
    },
    supervisor::observability,
};

/// What `--runtime` calls it.
pub const NAME: &str = "native";
/// Longer than the grace times of services and servers together.
const DOWN_DEADLINE: Duration = Duration::from_secs(90);
/// A member that isn't back within this time has failed.
const RESTART_DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(30);

/// Processes of this machine.
pub struct Native;

#[async_trait]
impl Runtime for Native {
    async fn up(&self, home: &Home, options: UpOptions) -> Result<()> {
        if home.in_containers() {
            bail!("the fleet is up in containers: run `make down` first");
        }
        let began = Instant::now();
        if home.is_running()? {
            refuse_other(home, options)?;
            if State::of_running(home).is_ok() {
                println!("the fleet is up already");
                return table::print(home);
            }
        } else {
            prepare(home, options)?;
            start::supervisor(home)?;
        }
        start::until_ready(home).await?;
        table::print(home)?;
        if home.observability() {
            observability::hints(home).iter().for_each(|hint| println!("{hint}"));
        }
        println!("up in {:.1} s; variables for a shell: {}", began.elapsed().as_secs_f64(), home.env().display());
        Ok(())
    }

    async fn down(&self, home: &Home) -> Result<()> {
        if !home.is_running()? {
            println!("the fleet isn't up");
            return Ok(());
        }
        let state = State::read(home)?.context("the supervisor hasn't written its state yet: try again in a moment")?;
        flotilla_process::signal(state.supervisor, Signal::TERM)?;
        let deadline = Instant::now() + DOWN_DEADLINE;
        while home.is_running()? {
            if Instant::now() > deadline {
                bail!(
                    "the fleet didn't stop within {} s; see {}",
                    DOWN_DEADLINE.as_secs(),
                    home.log("supervisor").display()
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
        let kept = home.root().display();
        println!(
            "{}",
            home.naming(&format!("the fleet is down; its data is kept in {kept} (`make reset` deletes it)"))
        );
        Ok(())
    }

    async fn restart(&self, home: &Home, name: Option<&str>) -> Result<()> {
        let Some(name) = name else {
            let options = UpOptions {
                tls: home.tls(),
                faults: home.faults(),
                observability: home.observability(),
                one_process: home.one_process(),
            };
            self.down(home).await?;
            return self.up(home, options).await;
        };
        let state = State::of_running(home)?;
        let member = state.member(name)?;
        if member.process.is_some() {
            println!("{name} shares one process with the other services: all of them restart");
        }
        halt(home, member).await?;
        resume(home, member).await
    }

    async fn stop(&self, home: &Home, name: &str) -> Result<()> {
        let state = State::of_running(home)?;
        let member = state.member(name)?;
        refuse_shared(member, "stop")?;
        halt(home, member).await?;
        println!("{name} is stopped; run `{}` to start it", home.command(&format!("start {name}")));
        Ok(())
    }

    async fn start(&self, home: &Home, name: &str) -> Result<()> {
        let state = State::of_running(home)?;
        let member = state.member(name)?;
        refuse_shared(member, "start")?;
        resume(home, member).await
    }

    async fn status(&self, home: &Home, json: bool) -> Result<bool> {
        let running = home.is_running()?;
        let Some(state) = State::read(home)?.filter(|_| running) else {
            let down = home.naming("the fleet isn't up: run `make up` to start it");
            println!("{}", if json { "{\"phase\":\"stopped\"}" } else { &down });
            return Ok(false);
        };
        if json {
            println!("{}", state.to_json()?);
        } else {
            table::print(home)?;
        }
        let ready = |member: &Member| member.start_ms.is_some() || !member.is_service;
        Ok(state.phase == Phase::Ready && state.members.iter().all(ready))
    }

    async fn logs(&self, home: &Home, options: LogOptions<'_>) -> Result<()> {
        logs::print(home, options).await
    }

    fn require_processes(&self) -> Result<()> {
        Ok(())
    }

    fn require_backups(&self) -> Result<()> {
        Ok(())
    }
}

/// Stops the process of a member, and all others in it.
async fn halt(home: &Home, member: &Member) -> Result<()> {
    fs::write(home.hold_marker(member.process()), b"")?;
    until(home, &member.name, "stop", |member| member.pid.is_none()).await
}

/// Lets the process of a member run again.
async fn resume(home: &Home, member: &Member) -> Result<()> {
    match fs::remove_file(home.hold_marker(member.process())) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    until(home, &member.name, "start", |member| member.start_ms.is_some()).await?;
    println!("{} is running", member.name);
    Ok(())
}

/// Refuses what would concern the other services of a process too.
fn refuse_shared(member: &Member, what: &str) -> Result<()> {
    if member.process.is_some() {
        bail!(
            "can't {what} {} alone: all services run in one process; run `fleet down`, then `fleet up` without \
             --one-process to run each in its own",
            member.name
        );
    }
    Ok(())
}

/// Refuses options that a running fleet can only get by a restart.
fn refuse_other(home: &Home, options: UpOptions) -> Result<()> {
    let lacking = [
        (options.tls && !home.tls(), "without TLS"),
        (options.faults && !home.faults(), "without faults"),
        (options.observability && !home.observability(), "without Prometheus and the others"),
        (options.one_process && !home.one_process(), "with a process for each service"),
    ];
    match lacking.iter().find(|(lacks, _)| *lacks) {
        Some((_, what)) => bail!("the fleet is up already, {what}: run `make down` first"),
        None => Ok(()),
    }
}

/// Records the options and servers that the fleet is started with.
fn prepare(home: &Home, options: UpOptions) -> Result<()> {
    if restore::unfinished(home.root()) {
        bail!("a restore was interrupted: run `fleet restore` again");
    }
    if options.one_process {
        refuse_binaries(home)?;
    }
    home.set_one_process(options.one_process)?;
    home.set_tls(options.tls)?;
    home.set_faults(options.faults)?;
    home.set_observability(options.observability)?;
    own_servers::remember(home, &External::from_env())
}

/// Refuses services with a binary of their own, which one process can't have.
fn refuse_binaries(home: &Home) -> Result<()> {
    for name in SERVICES {
        if home.binary(name)?.is_some() {
            bail!(
                "{name} was given a binary of its own by `fleet restart --binary`, which --one-process can't run: \
                 run `fleet reset` first"
            );
        }
    }
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
    bail!("{name} didn't {what} within {} s; run `fleet logs {name}` to see why", RESTART_DEADLINE.as_secs())
}
