//! Starts the supervisor, and shows its progress until the fleet is ready.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use flotilla_terminal::Progress;
use tokio::time::Instant;

use crate::home::{
    Home,
    state::{Phase, State},
};

/// Fetching servers over a slow line takes minutes; everything else seconds.
const UP_DEADLINE: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_millis(30);

/// Starts the supervisor, detached from this terminal.
pub fn supervisor(home: &Home) -> Result<()> {
    drop(fs::remove_file(home.state()));
    let log = home.open_log("supervisor")?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("--home").arg(home.root());
    if home.uses_servers_of_another() {
        command.arg("--servers").arg(home.servers());
    }
    command.arg("supervise");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // Not awaited: it outlives this command. Its lock and state show when it ends.
    command.spawn().context("can't start the supervisor")?;
    Ok(())
}

/// Waits until the supervisor reports that the fleet is ready, and shows its progress.
pub async fn until_ready(home: &Home) -> Result<()> {
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
                bail!("{reason}\nsee {}", home.log("supervisor").display());
            }
            Some(Phase::Starting(what)) => progress.show(&what),
            _ if seen && !running => bail!("the supervisor exited; see {}", home.log("supervisor").display()),
            _ => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("the fleet isn't ready after {} s; see {}", UP_DEADLINE.as_secs(), home.log("supervisor").display())
}
