//! A fleet in which faults may be switched on, under a steady load.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use flotilla_checker::{self as checker, Databases};
use flotilla_fleet::{
    command::{reset, workload},
    home::{Home, state::State},
};
use flotilla_testkit::otlp::Receiver;
use flotilla_workload::{
    client::Api,
    demo::{self, Baskets, Shop},
    outcome,
};
use tokio::{process::Command, task::JoinHandle, time::interval};
use tokio_util::sync::CancellationToken;

const COMMAND_DEADLINE: Duration = Duration::from_secs(300);
const END_PATIENCE: Duration = Duration::from_secs(90);
/// Time between two orders: a load that shows everything, and leaves the machine to others.
const BETWEEN_ORDERS: Duration = Duration::from_millis(200);
const SEED: u64 = 4;
const SHOP: demo::Options = demo::Options { products: 20, customers: 4, orders: 0, concurrency: 4, seed: Some(SEED) };

/// The checkout.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A fleet of this test's own; whatever becomes of the test, it goes down and leaves nothing.
pub struct Fleet {
    pub home: Home,
    /// Where its spans go.
    pub spans: Receiver,
}

/// What a command said, and whether it succeeded.
#[derive(Debug)]
pub struct Outcome {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Fleet {
    /// Starts it as an operator does, with faults allowed, one order in four traced.
    pub async fn up() -> Self {
        let servers = workspace().join(".flotilla");
        let home = Home::open(&servers.join(format!("faults-test-{}", std::process::id())), Some(&servers)).unwrap();
        let fleet = Self { home, spans: Receiver::start().await };
        let up = fleet.run(&["up", "--faults"]).await;
        assert!(up.success, "{up:?}");
        fleet
    }

    pub fn state(&self) -> State {
        State::of_running(&self.home).unwrap()
    }

    /// Runs the command on this fleet.
    pub async fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(binary());
        command.arg("--home").arg(self.home.root()).arg("--servers").arg(self.home.servers()).args(arguments);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", self.spans.endpoint());
        command.env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio").env("OTEL_TRACES_SAMPLER_ARG", "0.25");
        let output = tokio::time::timeout(COMMAND_DEADLINE, command.kill_on_drop(true).output()).await;
        let output = output.expect("a command ends in time").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a command that has to succeed, and returns what it said.
    pub async fn done(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments).await;
        assert!(outcome.success, "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        outcome.stdout
    }

    /// Waits until all orders have ended and everything is still, then sees that every invariant holds.
    pub async fn assert_sound(&self) {
        let state = self.state();
        let databases = Databases::open(&state.stores().unwrap()).await.unwrap();
        outcome::until_ended(&databases, std::time::UNIX_EPOCH, END_PATIENCE, |_| ()).await.unwrap();
        let findings = checker::settled(&state.stores().unwrap(), END_PATIENCE, 0).await.unwrap();
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let down = std::process::Command::new(binary())
            .arg("--home")
            .arg(self.home.root())
            .arg("--servers")
            .arg(self.home.servers())
            .arg("down")
            .output();
        if std::thread::panicking() {
            eprintln!("logs stay in {}", self.home.root().display());
        } else if down.is_ok_and(|down| down.status.success()) && reset::reset(&self.home).is_ok() {
            drop(std::fs::remove_dir_all(self.home.root()));
        }
    }
}

fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let binary = std::env::var_os("FLEET").map_or_else(|| target.join("release/fleet"), |path| workspace().join(path));
    assert!(binary.exists(), "{} is missing: `make build` makes it", binary.display());
    binary
}

/// Orders that are placed one after the other until it is stopped.
pub struct Load {
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Load {
    pub async fn start(fleet: &Fleet) -> Self {
        let api = Api::of(&workload::fleet(&fleet.home).unwrap()).unwrap();
        let operator = api.operator(&workload::fleet(&fleet.home).unwrap()).await.unwrap();
        let shop = Arc::new(Shop::open_unlimited(&api, &operator, &SHOP, SEED).await.unwrap());
        let stop = CancellationToken::new();
        let task = tokio::spawn(place(shop, stop.clone()));
        Self { stop, task }
    }

    /// Stops, and says how many orders were placed.
    pub async fn stop(self) -> usize {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

async fn place(shop: Arc<Shop>, stop: CancellationToken) -> usize {
    let mut baskets = Baskets::new(SHOP.products, SHOP.customers, SEED);
    let mut pace = interval(BETWEEN_ORDERS);
    let mut orders = tokio::task::JoinSet::new();
    let mut placed = 0;
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        let (shop, basket, number) = (Arc::clone(&shop), baskets.next_basket(), placed);
        orders.spawn(async move { shop.place(number, basket).await.unwrap() });
        placed += 1;
        while orders.try_join_next().is_some_and(|order| !order.unwrap().is_empty()) {}
    }
    while let Some(order) = orders.join_next().await {
        order.unwrap();
    }
    placed
}
