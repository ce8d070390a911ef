//! The fleet under upgrade: its present command throughout, its services by the builds that are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flotilla_checker::{self as checker, Databases, Stores};
use flotilla_fleet::{
    DATABASES, SERVICES,
    command::reset,
    home::{Home, state::State},
};
use flotilla_workload::outcome;
use tokio::process::Command;

const COMMAND_DEADLINE: Duration = Duration::from_secs(300);
const END_PATIENCE: Duration = Duration::from_secs(90);

/// A build of the services' binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build(pub PathBuf);

impl Build {
    /// The one that a variable of `make upgrade-test` names.
    pub fn named(variable: &str) -> Self {
        let path = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is missing: run make upgrade-test"));
        Self(Path::new(&path).canonicalize().unwrap())
    }

    /// A command of one service of it.
    pub fn command(&self, service: &str, verb: &str, environment: &BTreeMap<String, String>) -> Command {
        let mut command = Command::new(&self.0);
        command.args([service, verb]).env_clear().envs(environment).kill_on_drop(true);
        command
    }
}

/// A fleet of this test's own; whatever becomes of the test, it goes down.
pub struct Fleet {
    pub home: Home,
    /// What the supervisor gave each service when it first started.
    pub environments: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// How long each replacement took: stopped, started, ready.
    pub replaced: Vec<(String, Duration)>,
}

impl Fleet {
    /// Starts it with every service by this build.
    pub async fn up(build: &Build) -> Self {
        let servers = workspace().join(".flotilla");
        let home = Home::open(&servers.join(format!("upgrade-test-{}", std::process::id())), Some(&servers)).unwrap();
        for service in SERVICES {
            home.set_binary(service, &build.0).unwrap();
        }
        let mut fleet = Self { home, environments: BTreeMap::new(), replaced: Vec::new() };
        fleet.done(&["up"]).await;
        fleet.environments = SERVICES.into_iter().map(|service| (service, fleet.environment(service))).collect();
        fleet
    }

    pub fn state(&self) -> State {
        State::of_running(&self.home).unwrap()
    }

    pub async fn databases(&self) -> Databases {
        Databases::open(&self.state().stores().unwrap()).await.unwrap()
    }

    /// Runs the command on this fleet; it has to succeed.
    pub async fn done(&self, arguments: &[&str]) {
        let mut command = Command::new(fleet_binary());
        command.arg("--home").arg(self.home.root()).arg("--servers").arg(self.home.servers()).args(arguments);
        let output = tokio::time::timeout(COMMAND_DEADLINE, command.kill_on_drop(true).output()).await;
        let output = output.expect("a command ends in time").unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    /// Brings a service's database up to date by a build, as its migration job does.
    pub async fn migrate(&self, service: &str, build: &Build) -> bool {
        let run = build.command(service, "migrate", &self.environments[service]).output();
        let output = tokio::time::timeout(COMMAND_DEADLINE, run).await.expect("a migration ends in time").unwrap();
        if !output.status.success() {
            eprintln!("{service}: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    }

    /// Brings all databases up to date by a build.
    pub async fn migrate_all(&self, build: &Build) {
        for service in DATABASES {
            assert!(self.migrate(service, build).await, "the migration of {service} by {build:?} fails");
        }
    }

    /// Replaces one service as an operator does: it drains, ends, and the other build starts and becomes ready.
    pub async fn replace(&mut self, service: &str, build: &Build) {
        let began = Instant::now();
        let path = build.0.to_str().unwrap();
        self.done(&["restart", service, "--binary", path]).await;
        self.replaced.push((service.to_owned(), began.elapsed()));
        assert_eq!(self.running(service), *build, "{service} is served by another build");
    }

    /// The build that serves now, as the kernel knows it.
    pub fn running(&self, service: &str) -> Build {
        Build(fs::read_link(format!("/proc/{}/exe", self.pid(service))).unwrap())
    }

    /// The durable consumers of each release that has run.
    pub async fn consumers(&self) -> BTreeSet<String> {
        checker::durable_consumers(&self.state().stores().unwrap()).await.unwrap()
    }

    /// Waits until all orders have ended and everything is still, then sees that every invariant holds, but for what
    /// `absent` consumers, which the running release doesn't have, have left.
    pub async fn assert_sound(&self, when: &str, absent: BTreeSet<String>) {
        let state = self.state();
        let stores = Stores { absent_consumers: absent, ..state.stores().unwrap() };
        let databases = self.databases().await;
        let ended = outcome::until_ended(&databases, std::time::UNIX_EPOCH, END_PATIENCE, |_| ()).await;
        ended.unwrap_or_else(|error| panic!("{when}: {error}"));
        let findings = checker::settled(&stores, END_PATIENCE, 0).await.unwrap();
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        assert!(broken.is_empty(), "{when}: {broken:#?}");
        println!("{when}: all {} invariants hold", findings.len());
    }

    fn pid(&self, service: &str) -> u32 {
        self.state().member(service).unwrap().pid.unwrap()
    }

    fn environment(&self, service: &str) -> BTreeMap<String, String> {
        let bytes = fs::read(format!("/proc/{}/environ", self.pid(service))).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.split('\0').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let down = std::process::Command::new(fleet_binary())
            .arg("--home")
            .arg(self.home.root())
            .arg("--servers")
            .arg(self.home.servers())
            .arg("down")
            .output();
        if std::thread::panicking() {
            eprintln!("logs stay in {}", self.home.root().display());
        } else if down.is_ok_and(|down| down.status.success()) && reset::reset(&self.home).is_ok() {
            drop(fs::remove_dir_all(self.home.root()));
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The present command, whatever the services are.
fn fleet_binary() -> PathBuf {
    let path = std::env::var_os("FLEET").unwrap_or_else(|| env!("CARGO_BIN_EXE_fleet").into());
    let path = workspace().join(path);
    assert!(path.exists(), "{} is missing", path.display());
    path
}
