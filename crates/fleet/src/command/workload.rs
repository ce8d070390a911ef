//! `fleet demo`, `replay`, `chaos` and `load`: run workloads against the running fleet.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Result;
use flotilla_servers::{Layout, postgres_tool};
use flotilla_workload::{Credentials, Fleet, Member, Supervisor, chaos, demo, load, replay};

use crate::{
    credentials::secrets::Secrets,
    home::{
        Home,
        state::{self, State},
    },
    runtime, services,
};

/// The running fleet, as the workloads need it.
///
/// # Errors
/// When no fleet is up.
pub fn fleet(home: &Home) -> Result<Fleet> {
    let state = State::of_running(home)?;
    let secrets = Secrets::load(home)?;
    Ok(Fleet {
        gateway_url: state.url("gateway")?,
        client: services::client_settings(&state),
        operator: Credentials { email: secrets.admin_email, password: secrets.admin_password },
        stores: state.stores()?,
        members: state.members.into_iter().map(member).collect(),
    })
}

fn member(member: state::Member) -> Member {
    Member {
        admin: member.admin.map(|url| url.trim_start_matches("http://").to_owned()),
        name: member.name,
        address: member.address,
        pid: member.pid,
        start_ms: member.start_ms,
        is_service: member.is_service,
        process: member.process,
    }
}

impl Supervisor for Home {
    fn members(&self) -> Result<Vec<Member>> {
        Ok(State::of_running(self)?.members.into_iter().map(member).collect())
    }

    fn hold(&self, name: &str) -> Result<()> {
        Ok(fs::write(self.hold_marker(name), b"")?)
    }

    fn release(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.hold_marker(name))?)
    }

    fn data(&self, name: &str) -> Result<PathBuf> {
        Layout::open(self.servers())?.data(&self.server_name(name))
    }
}

/// Runs the demo.
///
/// # Errors
/// When no fleet is up, or orders don't end.
pub async fn demo(home: &Home, options: demo::Options) -> Result<ExitCode> {
    demo::run(&fleet(home)?, options).await
}

/// Replays the orders from CSV files.
///
/// # Errors
/// When no fleet is up, a file can't be read, or orders don't end.
pub async fn replay(home: &Home, options: replay::Options) -> Result<ExitCode> {
    replay::run(&fleet(home)?, home, options).await
}

/// Runs a demo while members are killed and messages removed.
///
/// # Errors
/// When no native fleet is up, or orders don't end.
pub async fn chaos(home: &Home, options: chaos::Options) -> Result<ExitCode> {
    runtime::of(home).require_processes()?;
    chaos::run(&fleet(home)?, home, options).await
}

/// Measures orders at a fixed rate, and bare PostgreSQL if asked to.
///
/// # Errors
/// When no native fleet is up, or orders don't end.
pub async fn load(home: &Home, options: load::Options) -> Result<ExitCode> {
    runtime::of(home).require_processes()?;
    let fleet = fleet(home)?;
    let baseline = if options.baseline { Some(baseline(home).await?) } else { None };
    load::run(&fleet, baseline, &home.root().join("envoy"), options).await
}

async fn baseline(home: &Home) -> Result<load::Baseline> {
    Ok(load::Baseline {
        postgres_url: State::of_running(home)?.database_url("postgres"),
        pgbench: postgres_tool(&Layout::open(home.servers())?, "pgbench").await?,
        folder: Supervisor::data(home, "bench")?,
    })
}
