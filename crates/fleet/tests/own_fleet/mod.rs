//! A fleet of a test binary's own: its folder, its command, its start, and the removal of leftovers of earlier runs.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use flotilla_fleet::{
    command::reset,
    home::{
        Home,
        state::{Phase, State},
    },
};
use flotilla_servers::Process;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

const DEADLINE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(20);

/// A fleet that is up.
pub struct Running {
    pub home: Home,
    /// Never dropped: when this process ends, its guard ends the supervisor, which ends the fleet.
    _supervisor: Process,
}

/// Starts a fleet with additional environment variables and waits until it is ready.
pub async fn start(home: Home, variables: &[(&str, String)]) -> Running {
    let mut command = command(&home);
    command.arg("supervise").envs(variables.iter().map(|(name, value)| (name, value)));
    let supervisor = Process::spawn_own(command, &home.log("supervisor"), home.rotation()).unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        match State::read(&home).unwrap().map(|state| state.phase) {
            Some(Phase::Ready) => return Running { home, _supervisor: supervisor },
            Some(Phase::Failed(reason)) => panic!("the fleet doesn't start: {reason}"),
            _ => assert!(Instant::now() < deadline, "the fleet isn't ready in time"),
        }
        sleep(PAUSE).await;
    }
}

/// Runs a command on a fleet and returns its output.
pub async fn output(home: &Home, arguments: &[&str]) -> Output {
    let mut command = command(home);
    let output = command.args(arguments).kill_on_drop(true).output();
    tokio::time::timeout(DEADLINE, output).await.expect("a command ends in time").unwrap()
}

fn command(home: &Home) -> Command {
    let mut command = Command::new(binary());
    command.arg("--home").arg(home.root()).arg("--servers").arg(home.servers());
    command
}

/// The command: the one that was compiled with these tests, or what FLEET names.
pub fn binary() -> PathBuf {
    let binary = std::env::var_os("FLEET").unwrap_or_else(|| env!("CARGO_BIN_EXE_fleet").into());
    let binary = workspace().join(binary);
    assert!(binary.exists(), "{} is missing", binary.display());
    binary
}

/// A new folder for a fleet of this process, beside the servers that are already fetched. Leftovers with the same
/// `prefix` are removed.
pub fn new_home(prefix: &str, name: &str) -> Home {
    let servers = workspace().join(".flotilla");
    sweep(&servers, prefix);
    Home::open(&servers.join(format!("{prefix}{name}-{}", std::process::id())), Some(&servers)).unwrap()
}

/// Removes the leftovers of earlier runs.
fn sweep(servers: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(servers) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.rsplit_once('-').and_then(|(_, pid)| pid.parse::<i32>().ok());
        let owner = owner.and_then(rustix::process::Pid::from_raw);
        // Another process of these tests may be about to use it.
        if owner.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok()) {
            continue;
        }
        let Ok(home) = Home::open(&entry.path(), Some(servers)) else { continue };
        if reset::reset(&home).is_ok() {
            drop(std::fs::remove_dir_all(home.root()));
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
