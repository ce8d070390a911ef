//! The fleet under attack, and the sequence that every attack runs: measure, attack, measure.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use flotilla_checker as checker;
use flotilla_fleet::{
    command::workload,
    home::{Home, state::State},
};
use flotilla_workload::{
    client::{Api, Session},
    demo::{self, Shop},
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    attackers::Attack,
    figures::{self, Figures},
    honest::{BETWEEN, Honest},
    own_fleet::{self, Running, output},
};

/// The prefix of these tests' folders.
const PREFIX: &str = "attacks-test-";
/// The longest time from the start of an attack until it counts as under way.
const BEGIN_DEADLINE: Duration = Duration::from_secs(60);
const SETTLE_PATIENCE: Duration = Duration::from_secs(120);
const SEED: u64 = 16;
pub const SHOP: demo::Options =
    demo::Options { products: 50, customers: 8, orders: 0, concurrency: 4, seed: Some(SEED) };

static FLEET: Mutex<Option<Running>> = Mutex::const_new(None);

/// The fleet, reserved for one attack at a time.
pub struct Fleet {
    _turn: MutexGuard<'static, Option<Running>>,
    pub state: State,
    pub home: Home,
    pub api: Api,
    pub operator: Arc<Session>,
    pub shop: Arc<Shop>,
}

/// Whether the short form was requested.
pub fn is_short() -> bool {
    std::env::var_os("FLOTILLA_ATTACKS_SHORT").is_some_and(|value| !value.is_empty())
}

/// Waits for this attack's turn and returns the fleet; the first caller starts it.
pub async fn fleet() -> Fleet {
    let mut turn = FLEET.lock().await;
    let home = match &*turn {
        Some(running) => running.home.clone(),
        None => {
            let running = own_fleet::start(own_fleet::new_home(PREFIX, "fleet"), &[]).await;
            let home = running.home.clone();
            *turn = Some(running);
            home
        }
    };
    let state = State::of_running(&home).unwrap();
    let api = Api::of(&workload::fleet(&home).unwrap()).unwrap();
    let operator = Arc::new(api.operator(&workload::fleet(&home).unwrap()).await.unwrap());
    let shop = Arc::new(Shop::open_unlimited(&api, &operator, &SHOP, SEED).await.unwrap());
    Fleet { _turn: turn, state, home, api, operator, shop }
}

/// Runs a command on a fleet and requires that it succeeds.
pub async fn run(home: Home, arguments: &'static [&'static str]) {
    let output = output(&home, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Fleet {
    /// Where the gateway listens.
    pub fn gateway(&self) -> SocketAddr {
        assert!(self.state.certificates.is_none(), "attackers speak without TLS");
        self.state.url("gateway").unwrap().trim_start_matches("http://").parse().unwrap()
    }

    /// Measures honest calls before, during and after the attack. `attack` starts it.
    pub async fn withstands(&self, name: &str, attack: impl AsyncFnOnce() -> Attack) {
        self.withstands_at(self.gateway(), BETWEEN, name, attack).await;
    }

    /// The same for a gateway that the test has started itself, with an honest call of each kind every `between`.
    pub async fn withstands_at(
        &self,
        gateway: SocketAddr,
        between: Duration,
        name: &str,
        attack: impl AsyncFnOnce() -> Attack,
    ) {
        let honest = Honest::of(self, gateway, between).await;
        let seconds = if is_short() { 3 } else { 20 };
        let measured = Duration::from_secs(seconds);
        // Warm-up: connections, pools and caches fill up.
        honest.measure(measured / 3).await;
        let before = honest.measure(measured).await;
        let attack = attack().await;
        attack.until_under_way(BEGIN_DEADLINE).await;
        let during = honest.measure(measured).await;
        let told = attack.end().await;
        self.until_quiet().await;
        let after = honest.measure(measured).await;
        println!("{}", figures::table(name, &told, &[("before", &before), ("during", &during), ("after", &after)]));
        for (when, figures) in [("before", &before), ("during", &during), ("after", &after)] {
            let failed = figures.failures();
            assert!(failed.is_empty(), "{name}: honest calls failed {when} the attack: {failed:#?}");
        }
        if !is_short() {
            Self::assert_unfelt(name, &before, &during, &after);
        }
    }

    fn assert_unfelt(name: &str, before: &Figures, during: &Figures, after: &Figures) {
        for (kind, felt) in during.kinds().filter(|(_, calls)| calls.are_telling()) {
            let quiet = before.p99(kind).max(after.p99(kind));
            let felt = felt.p99();
            assert!(felt <= quiet * 2, "{name}: {kind:?}: p99 of {felt:?} during, {quiet:?} without");
        }
    }

    /// Waits until the work that the attack caused is done.
    async fn until_quiet(&self) {
        let findings = checker::settled(&self.state.stores().unwrap(), SETTLE_PATIENCE, 0).await.unwrap();
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }
}
