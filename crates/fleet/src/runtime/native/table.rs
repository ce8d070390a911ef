//! The table of a native fleet's members.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use flotilla_terminal::{Table, bold, mib};

use crate::{
    SERVICES,
    home::{
        Home,
        state::{Member, State},
    },
};

/// Prints the fleet's members with addresses, processes and memory.
///
/// # Errors
/// When no fleet has been started here.
pub fn print(home: &Home) -> Result<()> {
    let state = State::read(home)?.context("no fleet has been started here")?;
    let mut table = Table::new(&["", "address", "admin", ">pid", ">resident", ">ready in", ">restarts"]);
    let (mut services, mut servers) = (0, 0);
    let (of_services, of_servers): (Vec<_>, Vec<_>) = state.members.iter().partition(|member| member.is_service);
    let mut counted = BTreeSet::new();
    for member in of_services.into_iter().chain(of_servers) {
        // The memory of a process that members share is shown and counted once.
        let resident = member.pid.filter(|pid| counted.insert(*pid)).map(|pid| {
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
            println!("{name} runs {}", binary.display());
        }
    }
    if home.one_process() {
        println!("all services run in one process");
    }
    println!("resident memory: services {}, with servers {}", bold(&mib(services)), bold(&mib(services + servers)));
    Ok(())
}

/// Why a member has no process: it was stopped, or it died and is being restarted.
fn absence(home: &Home, member: &Member) -> &'static str {
    if home.hold_marker(member.process()).exists() { "stopped" } else { "restarting" }
}
