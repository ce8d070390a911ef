//! How the fleet is: its table, or its state as JSON.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use flotilla_terminal::{Table, bold, mib};

use crate::{
    SERVICES,
    home::Home,
    runtime::compose,
    state::{Member, Phase, State, without_password},
};

/// Prints the table; exit code 1 unless everything runs.
///
/// # Errors
/// When the state can't be read.
pub async fn print(home: &Home, json: bool) -> Result<ExitCode> {
    if home.in_containers() {
        return Ok(if compose::status(home, json).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let running = home.is_running()?;
    let Some(state) = State::read(home)?.filter(|_| running) else {
        let down = home.naming("the fleet isn't up: `make up` starts it");
        println!("{}", if json { "{\"phase\":\"stopped\"}" } else { &down });
        return Ok(ExitCode::FAILURE);
    };
    if json {
        println!("{}", self::json(&state)?);
    } else {
        print_table(home)?;
    }
    let whole = state.phase == Phase::Ready
        && state.members.iter().all(|member| member.start_ms.is_some() || !member.is_service);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The state for display, without the servers' passwords.
///
/// # Errors
/// If it can't be encoded as JSON.
pub fn json(state: &State) -> Result<String> {
    let mut shown = state.clone();
    for url in [&mut shown.postgres_url, &mut shown.nats_url, &mut shown.redis_url] {
        *url = without_password(url);
    }
    Ok(serde_json::to_string_pretty(&shown)?)
}

/// Prints the fleet's members with addresses, processes and memory.
///
/// # Errors
/// When nothing is known of a fleet here.
pub fn print_table(home: &Home) -> Result<()> {
    let state = State::read(home)?.context("nothing is known of a fleet here")?;
    let mut table = Table::new(&["", "address", "admin", ">pid", ">resident", ">ready in", ">restarts"]);
    let (mut services, mut servers) = (0, 0);
    let (of_services, of_servers): (Vec<_>, Vec<_>) = state.members.iter().partition(|member| member.is_service);
    for member in of_services.into_iter().chain(of_servers) {
        let resident = member.pid.map(|pid| {
            if member.is_service { flotilla_process::memory(pid) } else { flotilla_process::memory_of_tree(pid) }
        });
        let resident = resident.map(|memory| if member.is_service { memory.resident } else { memory.proportional });
        *(if member.is_service { &mut services } else { &mut servers }) += resident.unwrap_or_default();
        table.row([
            member.name.clone(),
            if member.is_service { state.shown(member) } else { member.address.clone() },
            member.admin.clone().unwrap_or_default(),
            member.pid.map_or_else(|| absence(home, member).to_owned(), |pid| pid.to_string()),
            resident.map(mib).unwrap_or_default(),
            member.start_ms.map(|ms| format!("{ms} ms")).unwrap_or_default(),
            member.restarts.to_string(),
        ]);
    }
    print!("{}", table.render());
    for name in SERVICES {
        if let Some(binary) = home.binary(name)? {
            println!("{name} is run by {}", binary.display());
        }
    }
    println!("memory: services {}, with the servers {}", bold(&mib(services)), bold(&mib(services + servers)));
    Ok(())
}

/// Why a member has no process: told to stop, or on its way back after a death.
fn absence(home: &Home, member: &Member) -> &'static str {
    if home.hold(&member.name).exists() { "stopped" } else { "restarting" }
}
