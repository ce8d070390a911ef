//! The fleet under test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use flotilla_checker::{self as checker, Databases};
use flotilla_fleet::{
    command::workload,
    home::{Home, state::State},
};
use flotilla_money::{Amount, Currency};
use flotilla_proto::orders::v1::{GetOrderRequest, Order, OrderState, order_service_client::OrderServiceClient};
use flotilla_terminal::Progress;
use flotilla_workload::{
    client::{Api, Session},
    demo::Shop,
    outcome,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep},
};
use tonic::Request;

pub use crate::own_fleet::binary;
use crate::{
    own_fleet::{self, Running},
    trace::COLLECTOR,
};

/// Folders of these tests begin so.
const PREFIX: &str = "fleet-test-";
/// A crash test fails when anything is stuck so long after the last fault.
pub const END_PATIENCE: Duration = Duration::from_secs(60);
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

static FLEET: Mutex<Option<Running>> = Mutex::const_new(None);
static ONE_PROCESS: Mutex<Option<Running>> = Mutex::const_new(None);
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// Messages that a test has planted and that stay parked.
pub static PLANTED: AtomicI64 = AtomicI64::new(0);
static NONE_PLANTED: AtomicI64 = AtomicI64::new(0);

/// The fleet, for one test alone.
pub struct Fleet {
    _turn: MutexGuard<'static, Option<Running>>,
    pub home: Home,
    pub state: State,
    pub databases: Databases,
    pub api: Api,
    pub operator: Session,
    /// Messages that tests have planted in it; the fleet in one process has none.
    planted: &'static AtomicI64,
}

/// Waits for this test's turn and returns the fleet, started by the first who asks.
pub async fn fleet() -> Fleet {
    take(FLEET.lock().await, "test", false).await
}

/// The same for the fleet whose services run in one process.
pub async fn one_process() -> Fleet {
    take(ONE_PROCESS.lock().await, "one", true).await
}

async fn take(mut turn: MutexGuard<'static, Option<Running>>, name: &str, one_process: bool) -> Fleet {
    let home = match &*turn {
        Some(running) => running.home.clone(),
        None => {
            let running = start(name, one_process).await;
            let home = running.home.clone();
            *turn = Some(running);
            home
        }
    };
    let state = State::of_running(&home).unwrap();
    let databases = Databases::open(&state.stores().unwrap()).await.unwrap();
    let api = Api::of(&workload::fleet(&home).unwrap()).unwrap();
    let operator = api.operator(&workload::fleet(&home).unwrap()).await.unwrap();
    let planted = if one_process { &NONE_PLANTED } else { &PLANTED };
    Fleet { _turn: turn, home, state, databases, api, operator, planted }
}

async fn start(name: &str, one_process: bool) -> Running {
    // Traces are exported, of requests that ask for it.
    let telemetry = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", COLLECTOR.endpoint()),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let home = new_home(name);
    home.set_one_process(one_process).unwrap();
    own_fleet::start(home, &telemetry).await
}

/// A fresh folder for a fleet of this process.
pub fn new_home(name: &str) -> Home {
    own_fleet::new_home(PREFIX, name)
}

/// What a command said, and whether it succeeded.
#[derive(Debug)]
pub struct Outcome {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the command on a fleet, with its output in a pipe.
pub async fn command(home: &Home, arguments: &[&str]) -> Outcome {
    let output = own_fleet::output(home, arguments).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Fleet {
    /// Runs the command on this fleet.
    pub async fn command(&self, arguments: &[&str]) -> Outcome {
        command(&self.home, arguments).await
    }

    /// Messages that tests have planted so far.
    pub fn planted(&self) -> i64 {
        self.planted.load(Ordering::Relaxed)
    }

    /// A customer with so many cents.
    pub async fn customer(&self, minor: i64) -> Session {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let email = format!("customer-{number}@test.example");
        let session = self.api.sign_up(&email, "A customer", "a good password").await.unwrap();
        if minor > 0 {
            let key = format!("top-up-{number}");
            self.operator.top_up(session.user_id(), dollars(minor).into(), &key).await.unwrap();
        }
        session
    }

    /// A product of so many cents with so many units.
    pub async fn product(&self, minor: i64, units: i64) -> String {
        let id = format!("product-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.operator.create_product(&id, "A product", dollars(minor).into()).await.unwrap();
        if units > 0 {
            self.operator.adjust_stock(&id, units, &format!("stock-{id}")).await.unwrap();
        }
        id
    }

    /// A product that is paid in another currency.
    pub async fn foreign_product(&self) -> String {
        let id = format!("product-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let price = Amount { minor: 100, currency: Currency::parse("EUR").unwrap() };
        self.operator.create_product(&id, "A product from abroad", price.into()).await.unwrap();
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
        let state = State::of_running(&self.home).unwrap();
        // Fresh connections: the test's own may have died with the database.
        let databases = Databases::open(&state.stores().unwrap()).await.unwrap();
        let ended = outcome::until_ended(&databases, std::time::UNIX_EPOCH, END_PATIENCE, |_| ()).await;
        ended.unwrap();
        let findings = checker::settled(&state.stores().unwrap(), SETTLE_PATIENCE, self.planted()).await.unwrap();
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// Places a crowd's orders, does each fault when its share of them is placed, waits for the ends and checks everything.
    pub async fn survive<F>(&self, orders: usize, seed: u64, faults: Vec<F>)
    where
        F: FnOnce(&Home) -> anyhow::Result<()> + Send + 'static,
    {
        let options =
            flotilla_workload::demo::Options { products: 60, customers: 12, orders, concurrency: 32, seed: Some(seed) };
        let shop = Shop::open(&self.api, &self.operator, &options, seed).await.unwrap();
        let shop = Arc::new(shop);
        let faults = tokio::spawn(inflict(self.home.clone(), Arc::clone(&shop), orders, faults));
        flotilla_workload::demo::place_all(&shop, &options, seed, &mut Progress::new()).await.unwrap();
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

/// Spreads the faults over the orders. One whose member is just coming back from an earlier fault waits for it.
async fn inflict<F>(home: Home, shop: Arc<Shop>, orders: usize, faults: Vec<F>)
where
    F: FnOnce(&Home) -> anyhow::Result<()>,
{
    let deadline = Instant::now() + END_PATIENCE;
    let share = orders / (faults.len() + 1);
    for (number, fault) in faults.into_iter().enumerate() {
        let due = u64::try_from((number + 1) * share).unwrap();
        while shop.placed() < due || State::of_running(&home).unwrap().members.iter().any(|member| member.pid.is_none())
        {
            assert!(
                Instant::now() < deadline,
                "only {} orders are placed, or a member doesn't come back",
                shop.placed()
            );
            sleep(PAUSE / 4).await;
        }
        fault(&home).unwrap();
    }
}
