//! Up, a death, down: a fleet of its own, driven by the command as people drive it.

use std::{net::TcpStream, path::Path, time::Duration};

use flotilla_fleet::{
    SERVERS, SERVICES,
    home::{
        Home,
        state::{Member, State},
    },
};
use flotilla_workload::chaos;
use tokio::time::{Instant, sleep};

use crate::fleet::{self, Outcome};

/// What a second `up` may take.
const SECOND_UP: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A fleet of a test's own; whatever becomes of the test, it goes down and leaves nothing.
pub struct Own(pub Home);

impl Own {
    pub fn new(name: &str) -> Self {
        Self(fleet::new_home(name))
    }

    pub async fn run(&self, arguments: &[&str]) -> Outcome {
        fleet::command(&self.0, arguments).await
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for last in [["down"].as_slice(), &["reset", "--yes"]] {
            let mut command = std::process::Command::new(fleet::binary());
            command.arg("--home").arg(self.0.root()).arg("--servers").arg(self.0.servers()).args(last);
            drop(command.output());
        }
        drop(std::fs::remove_dir_all(self.0.root()));
    }
}

/// Whether a process runs: one that has ended and that nobody has asked about yet doesn't.
pub fn runs(pid: u32) -> bool {
    let output = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

fn pids(state: &State) -> Vec<Option<u32>> {
    state.members.iter().map(|member| member.pid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_starts_once_recovers_and_stops_completely() {
    let own = Own::new("lifecycle");
    let nobody = own.run(&["demo"]).await;
    assert!(
        !nobody.success
            && nobody.stderr.contains("the fleet isn't up: run `fleet --home ")
            && nobody.stderr.contains(" up` first"),
        "{nobody:?}"
    );

    let up = own.run(&["up"]).await;
    assert!(up.success, "{up:?}");
    for name in SERVICES.iter().chain(&SERVERS) {
        assert!(up.stdout.lines().any(|line| line.starts_with(name)), "{name} is missing: {up:?}");
    }
    assert!(up.stdout.contains("memory: services ") && !up.stdout.contains('\x1b'), "{up:?}");
    let state = State::of_running(&own.0).unwrap();
    assert_private(&own.0.env());
    assert_private(&own.0.secrets());

    let began = Instant::now();
    let again = own.run(&["up"]).await;
    assert!(again.success && again.stdout.starts_with("the fleet is up already"), "{again:?}");
    assert!(began.elapsed() < SECOND_UP, "a second up takes {:?}", began.elapsed());
    assert_eq!(pids(&State::of_running(&own.0).unwrap()), pids(&state), "a second up restarts nothing");

    chaos::kill(&own.0, "payments").unwrap();
    let before = state.member("payments").unwrap().pid;
    until(&own.0, "payments", |member| member.restarts == 1 && member.start_ms.is_some() && member.pid != before).await;
    let status = own.run(&["status"]).await;
    let line = status.stdout.lines().find(|line| line.starts_with("payments")).unwrap_or_default();
    assert!(status.success && line.ends_with(" 1"), "the status shows the restart: {status:?}");

    let stopped = own.run(&["stop", "notification"]).await;
    let status = own.run(&["status"]).await;
    let line = status.stdout.lines().find(|line| line.starts_with("notification")).unwrap_or_default();
    assert!(stopped.success && !status.success && line.contains("stopped"), "{status:?}");
    assert!(own.run(&["start", "notification"]).await.success);

    let state = State::of_running(&own.0).unwrap();
    let down = own.run(&["down"]).await;
    assert!(down.success, "{down:?}");
    assert_gone(&state).await;
    let down = own.run(&["down"]).await;
    assert!(down.success && down.stdout.contains("the fleet isn't up"), "{down:?}");
    assert!(!own.run(&["status"]).await.success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_whose_supervisor_is_killed_leaves_no_process_and_starts_with_its_data() {
    let own = Own::new("orphans");
    assert!(own.run(&["up"]).await.success);
    let demo = ["demo", "--products", "8", "--customers", "2", "--orders", "20"];
    assert!(own.run(&demo).await.success);
    let state = State::of_running(&own.0).unwrap();
    flotilla_process::signal(state.supervisor, flotilla_process::Signal::KILL).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while state.members.iter().filter_map(|member| member.pid).any(runs) {
        assert!(Instant::now() < deadline, "something outlives the supervisor: {:#?}", state.members);
        sleep(PAUSE).await;
    }
    let up = own.run(&["up"]).await;
    assert!(up.success, "{up:?}");
    let check = own.run(&["check"]).await;
    assert!(check.success && check.stdout.contains("exactly one end (20 orders)"), "{check:?}");
}

async fn until(home: &Home, name: &str, wanted: impl Fn(&Member) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = State::of_running(home).unwrap();
        let member = state.member(name).unwrap();
        if wanted(member) {
            return;
        }
        assert!(Instant::now() < deadline, "{member:?}");
        sleep(PAUSE).await;
    }
}

fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{}", path.display());
}

/// No process runs, no port answers.
async fn assert_gone(state: &State) {
    for member in &state.members {
        assert!(!member.pid.is_some_and(runs), "{member:?} still runs");
        let address = member.address.rsplit_once('@').map_or(member.address.as_str(), |(_, host)| host);
        let address = address.trim_start_matches("nats://").trim_start_matches("redis://");
        let address = address.split('/').next().unwrap_or_default();
        assert!(TcpStream::connect(address).is_err(), "{address} still answers for {}", member.name);
    }
    // It has let go of everything: what is left is its own end.
    let deadline = Instant::now() + PATIENCE;
    while runs(state.supervisor) {
        assert!(Instant::now() < deadline, "the supervisor still runs");
        sleep(PAUSE).await;
    }
}
