//! The fleet under test.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use flotilla_fleet::{
    checker::{self, Databases},
    client::{Api, Session},
    home::Home,
    outcome,
    screen::Progress,
    state::{Phase, State},
};
use flotilla_proto::{
    money::{Amount, Currency},
    orders::v1::{GetOrderRequest, Order, OrderState, order_service_client::OrderServiceClient},
};
use flotilla_servers::Process;
use tokio::{
    process::Command,
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep},
};
use tonic::Request;

const START_DEADLINE: Duration = Duration::from_secs(300);
/// A crash test fails when anything is stuck so long after the last fault.
pub const END_PATIENCE: Duration = Duration::from_secs(60);
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

static FLEET: Mutex<Option<Running>> = Mutex::const_new(None);
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// Messages that a test has planted and that stay parked.
pub static PLANTED: AtomicI64 = AtomicI64::new(0);

struct Running {
    home: Home,
    /// Never dropped: when this process ends, its guard ends the supervisor, which ends the fleet.
    _supervisor: Process,
}

/// The fleet, for one test alone.
pub struct Fleet {
    _turn: MutexGuard<'static, Option<Running>>,
    pub home: Home,
    pub state: State,
    pub databases: Databases,
    pub api: Api,
    pub operator: Session,
}

/// Waits for this test's turn and returns the fleet, started by the first who asks.
pub async fn fleet() -> Fleet {
    let mut turn = FLEET.lock().await;
    let home = match &*turn {
        Some(running) => running.home.clone(),
        None => {
            let running = start().await;
            let home = running.home.clone();
            *turn = Some(running);
            home
        }
    };
    let state = State::of_running(&home).unwrap();
    let databases = Databases::open(&state).await.unwrap();
    let api = Api::of(&home).unwrap();
    let operator = api.operator(&home).await.unwrap();
    Fleet { _turn: turn, home, state, databases, api, operator }
}

async fn start() -> Running {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let binary = target.join("release/fleet");
    assert!(
        binary.exists(),
        "{} is missing: these tests run the release build, `make build` makes it",
        binary.display()
    );
    let servers = workspace.join(".flotilla");
    let root = servers.join(format!("fleet-test-{}", std::process::id()));
    let home = Home::open(&root, Some(&servers)).unwrap();
    let mut command = Command::new(binary);
    command.arg("--home").arg(home.root()).arg("--servers").arg(&servers).arg("supervise");
    let supervisor = Process::spawn_own(command, &home.log("supervisor")).unwrap();
    let deadline = Instant::now() + START_DEADLINE;
    loop {
        match State::read(&home).unwrap().map(|state| state.phase) {
            Some(Phase::Ready) => return Running { home, _supervisor: supervisor },
            Some(Phase::Failed(reason)) => panic!("the fleet doesn't start: {reason}"),
            _ => assert!(Instant::now() < deadline, "the fleet isn't ready in time"),
        }
        sleep(PAUSE).await;
    }
}

impl Fleet {
    /// A customer with so many cents.
    pub async fn customer(&self, minor: i64) -> Session {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let email = format!("customer-{number}@test.example");
        let session = self.api.sign_up(&email, "A customer", "a good password").await.unwrap();
        if minor > 0 {
            let key = format!("top-up-{number}");
            self.operator.top_up(session.user_id(), dollars(minor).to_proto(), &key).await.unwrap();
        }
        session
    }

    /// A product of so many cents with so many units.
    pub async fn product(&self, minor: i64, units: i64) -> String {
        let id = format!("product-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.operator.create_product(&id, "A product", dollars(minor).to_proto()).await.unwrap();
        if units > 0 {
            self.operator.adjust_stock(&id, units, &format!("stock-{id}")).await.unwrap();
        }
        id
    }

    /// Waits until an order is in a state.
    pub async fn until_state(&self, customer: &Session, order: &str, wanted: OrderState) -> Order {
        let deadline = Instant::now() + END_PATIENCE;
        loop {
            let order = self.get(customer, order).await.unwrap();
            if order.state() == wanted {
                return order;
            }
            assert!(Instant::now() < deadline, "{} is {:?}, not {wanted:?}", order.name, order.state());
            sleep(PAUSE).await;
        }
    }

    /// An order as its customer sees it.
    pub async fn get(&self, customer: &Session, order: &str) -> Result<Order, tonic::Status> {
        let mut request = Request::new(GetOrderRequest { name: order.to_owned() });
        request.metadata_mut().insert("authorization", customer.authorization());
        Ok(OrderServiceClient::new(self.api.channel()).get_order(request).await?.into_inner())
    }

    /// A number from a database.
    pub async fn number(&self, service: &str, sql: &str) -> i64 {
        self.databases.number(service, sql).await.unwrap()
    }

    /// Waits until all orders have ended and everything is still, then sees that every invariant holds.
    pub async fn assert_sound(&self) {
        let ended = outcome::until_ended(&self.databases, std::time::UNIX_EPOCH, END_PATIENCE, |_| ()).await;
        ended.unwrap();
        let state = State::of_running(&self.home).unwrap();
        let findings = checker::settled(&state, SETTLE_PATIENCE, PLANTED.load(Ordering::Relaxed)).await.unwrap();
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// Places a crowd's orders while `meanwhile` does its worst, then waits for their ends and checks everything.
    pub async fn survive<F>(&self, orders: usize, seed: u64, meanwhile: impl FnOnce(Home) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let options =
            flotilla_fleet::demo::Options { products: 60, customers: 12, orders, concurrency: 32, seed: Some(seed) };
        let shop = flotilla_fleet::demo::Shop::open(&self.api, &self.operator, &options, seed).await.unwrap();
        let faults = tokio::spawn(meanwhile(self.home.clone()));
        flotilla_fleet::demo::place_all(&Arc::new(shop), &options, seed, &mut Progress::new()).await.unwrap();
        faults.await.unwrap();
        // A member may be on its way back just now.
        self.until_up().await;
        self.assert_sound().await;
    }

    /// Waits until every service is ready again.
    pub async fn until_up(&self) {
        let deadline = Instant::now() + END_PATIENCE;
        loop {
            let state = State::of_running(&self.home).unwrap();
            if state.members.iter().all(|member| member.start_ms.is_some()) {
                return;
            }
            assert!(Instant::now() < deadline, "not everything is up again: {:#?}", state.members);
            sleep(PAUSE).await;
        }
    }
}

/// Cents of dollars.
pub fn dollars(minor: i64) -> Amount {
    Amount { minor, currency: Currency::parse("USD").unwrap() }
}
