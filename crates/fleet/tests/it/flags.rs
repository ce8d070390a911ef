//! Flags and settings in the bucket: switched under load, lost and back again, taken over without a restart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use flotilla_fleet::{home::state::State, services::probe};
use flotilla_rpc::Details;
use flotilla_workload::{chaos, client::Session};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::{
    fleet::{END_PATIENCE, Fleet, fleet},
    http,
};

/// Customers who place orders all the time.
const CROWD: u64 = 8;
const PAUSE: Duration = Duration::from_millis(20);

/// A crowd that places one order after the other.
struct Crowd {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    async fn gather(fleet: &Fleet, product: &str) -> Self {
        let (stop, accepted, refused) = (Arc::default(), Arc::default(), Arc::default());
        let mut crowd = Self { stop, accepted, refused, tasks: Vec::new() };
        for _ in 0..CROWD {
            let (customer, product) = (fleet.customer(10_000_000).await, product.to_owned());
            let (stop, accepted, refused) =
                (Arc::clone(&crowd.stop), Arc::clone(&crowd.accepted), Arc::clone(&crowd.refused));
            crowd.tasks.push(tokio::spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match place(&customer, &product, &format!("crowd-{number}")).await {
                        Ok(()) => accepted.fetch_add(1, Ordering::Relaxed),
                        Err(status) => {
                            assert_paused(&status);
                            // Whoever is refused comes again, but not at once.
                            sleep(PAUSE).await;
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            }));
        }
        crowd
    }

    /// Waits until so many more are counted.
    async fn until(counter: &AtomicU64, more: u64) {
        let (deadline, before) = (Instant::now() + END_PATIENCE, counter.load(Ordering::Relaxed));
        while counter.load(Ordering::Relaxed) < before + more {
            assert!(Instant::now() < deadline, "not {more} more in time");
            sleep(PAUSE).await;
        }
    }

    async fn disperse(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("each order is accepted, or refused as paused");
        }
    }
}

async fn place(customer: &Session, product: &str, key: &str) -> Result<(), Status> {
    customer.place_order(vec![(product.to_owned(), 1)], key).await.map(drop)
}

fn assert_paused(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let details = Details::of(status);
    assert_eq!(details.reason.as_deref(), Some("ORDERS_PAUSED"), "{status}");
    assert!(details.retry_after.is_some(), "{status}");
}

/// A command that succeeds.
async fn told(fleet: &Fleet, arguments: &[&str]) -> String {
    let outcome = fleet.command(arguments).await;
    assert!(outcome.success, "{arguments:?}: {outcome:?}");
    outcome.stdout
}

/// What a command that fails says.
async fn refused(fleet: &Fleet, arguments: &[&str]) -> String {
    let outcome = fleet.command(arguments).await;
    assert!(!outcome.success, "{arguments:?}: {outcome:?}");
    outcome.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_paused_under_load_through_the_brokers_loss_and_taken_again() {
    let fleet = fleet().await;
    let product = fleet.product(100, 1_000_000).await;
    let customer = fleet.customer(10_000).await;
    let first = customer.place_order(vec![(product.clone(), 1)], "first").await.unwrap();
    let crowd = Crowd::gather(&fleet, &product).await;
    Crowd::until(&crowd.accepted, 50).await;

    let told_off = told(&fleet, &["flag", "set", "accept-orders", "off"]).await;
    assert!(told_off.contains("applied by orders"), "{told_off}");
    assert_paused(&place(&customer, &product, "paused").await.unwrap_err());
    Crowd::until(&crowd.refused, 50).await;
    let again = customer.place_order(vec![(product.clone(), 1)], "first").await.unwrap();
    assert_eq!(again.name, first.name, "a repeat of an accepted request gets its order");
    assert!(fleet.get(&customer, &first.name).await.is_ok(), "no breaker keeps reads away");
    over_rest(&fleet, &customer, &product).await;

    // JetStream loses its disk: the flag holds, and the services write it back.
    std::fs::write(fleet.home.request("wipe-nats"), b"").unwrap();
    chaos::kill(&fleet.home, "nats").unwrap();
    Crowd::until(&crowd.refused, 50).await;
    fleet.until_up().await;
    let deadline = Instant::now() + END_PATIENCE;
    while !fleet.command(&["flag", "list"]).await.stdout.lines().any(is_off) {
        assert!(Instant::now() < deadline, "the flag isn't in the bucket again");
        sleep(PAUSE).await;
    }
    assert_paused(&place(&customer, &product, "paused").await.unwrap_err());

    told(&fleet, &["flag", "set", "accept-orders", "on"]).await;
    Crowd::until(&crowd.accepted, 50).await;
    crowd.disperse().await;
    place(&customer, &product, "paused").await.unwrap();
    told(&fleet, &["flag", "clear", "accept-orders"]).await;
    fleet.assert_sound().await;
}

/// Whether a line of `fleet flag list` says that orders aren't taken.
fn is_off(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("accept-orders") && words.next() == Some("off")
}

async fn over_rest(fleet: &Fleet, customer: &Session, product: &str) {
    let gateway = fleet.state.member("gateway").unwrap();
    let body = format!(r#"{{"lines":[{{"product":"products/{product}","quantity":1}}]}}"#);
    let token = customer.authorization();
    let key = [("idempotency-key", "over-rest")];
    let answer = http::send(&gateway.address, "POST", "/v1/orders", token.to_str().ok(), &key, body.as_bytes()).await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (503, Some("ORDERS_PAUSED")), "{answer:?}");
    assert!(answer.head.contains("retry-after: 30"), "{}", answer.head);
}

#[tokio::test]
async fn a_setting_in_the_bucket_changes_a_live_one_without_a_restart_and_a_bad_one_changes_nothing() {
    let fleet = fleet().await;
    let orders = fleet.state.member("orders").unwrap();
    let admin = fleet.state.admin("orders").unwrap();
    let backoff = || async {
        let (_, config) = probe::get(admin, "/config").await.unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        let settings = config["settings"].as_array().unwrap();
        let found = settings.iter().find(|setting| setting["setting"] == "saga.backoff").unwrap().clone();
        (found["value"].as_str().unwrap().to_owned(), found["source"].as_str().unwrap().to_owned())
    };
    let before = backoff().await;
    assert_eq!(before.1, "default");

    let said = told(&fleet, &["config", "set", "orders", "saga.backoff", "1500ms"]).await;
    assert!(said.contains("1s500ms") && said.contains("NATS bucket"), "{said}");
    assert_eq!(backoff().await.0, "1s500ms");
    assert!(told(&fleet, &["config", "list"]).await.contains("saga.backoff"));
    assert!(told(&fleet, &["config", "list", "orders"]).await.contains("1s500ms"));

    let why = refused(&fleet, &["config", "set", "orders", "saga.backoff", "soon"]).await;
    assert!(why.contains("saga.backoff") && why.contains("taken back"), "{why}");
    assert_eq!(backoff().await.0, "1s500ms", "what was refused changes nothing");
    let why = refused(&fleet, &["config", "set", "orders", "placing.writers", "2"]).await;
    assert!(why.contains("only at start-up"), "{why}");
    let why = refused(&fleet, &["config", "set", "orders", "saga.speed", "2"]).await;
    assert!(why.contains("unknown setting \"saga.speed\""), "{why}");
    let why = refused(&fleet, &["flag", "set", "acept-orders", "off"]).await;
    assert!(why.contains("accept-orders"), "{why}");

    told(&fleet, &["config", "clear", "orders", "saga.backoff"]).await;
    assert_eq!(backoff().await, before);
    let now = State::of_running(&fleet.home).unwrap();
    assert_eq!(now.member("orders").unwrap().pid, orders.pid, "the same process");
}
