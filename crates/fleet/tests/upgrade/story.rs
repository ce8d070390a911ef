//! The release, told once: out, back, out again, and the schema contracted.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use flotilla_checker::Databases;
use flotilla_workload::outcome;
use serde_json::Value;

use crate::{
    beside::{self, Beside},
    crossing::{self, Ways},
    fleet::{Build, Fleet},
    load::Crowd,
};

/// Those who are asked before those who ask: the gateway last. Back, the other way.
const ORDER: [&str; 6] = ["identity", "inventory", "payments", "notification", "orders", "gateway"];
/// So many orders are placed before anything changes.
const SOME_ORDERS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_rolled_out_back_and_out_again_under_load() {
    let [n, next, contracted] =
        ["FLOTILLA_UPGRADE_N", "FLOTILLA_UPGRADE_NEXT", "FLOTILLA_UPGRADE_CONTRACTED"].map(Build::named);
    let mut fleet = Fleet::up(&n).await;
    let databases = fleet.databases().await;
    let crowd = Crowd::gather(&fleet).await;
    let feed = crowd.follow();

    let load = crowd.work();
    until_placed(&crowd, SOME_ORDERS).await;
    let texts = crossing::texts(&databases, "body").await;
    fleet.migrate_all(&next).await;
    crossing::assert_kept(&databases, &texts).await;
    sabotage("expand", &databases).await;
    // Before any N+1 serves: N goes on with the schema of N+1.
    until_placed(&crowd, SOME_ORDERS).await;
    let of_n = fleet.consumers().await;
    let ways = roll(&mut fleet, &crowd, ORDER, &next).await;
    println!("out: {}", told(&ways));
    assert!(is_stated(&crowd).await, "all of N+1: a payment's delivery shows what the statement says");
    load.stop().await;
    fleet.assert_sound("out", BTreeSet::new()).await;
    crowd.tally.assert_clean("out");
    sabotage("out", &databases).await;

    let load = crowd.work();
    for service in flotilla_fleet::DATABASES {
        assert!(fleet.migrate(service, &n).await, "{service}: N leaves a schema alone that is ahead of it");
    }
    let mut back = ORDER;
    back.reverse();
    let ways = roll(&mut fleet, &crowd, back, &n).await;
    println!("back: {}", told(&ways));
    assert!(!is_stated(&crowd).await, "all of N: it knows no statements");
    load.stop().await;
    // What only N+1 consumes waits for it; at the end nothing is left of that either.
    let of_next = fleet.consumers().await.difference(&of_n).cloned().collect();
    println!("back: N doesn't have {of_next:?}");
    fleet.assert_sound("back", of_next).await;
    crowd.tally.assert_clean("back");

    let load = crowd.work();
    // Those who ask before those who are asked this time: the gateway and orders of N+1 call services of N.
    for service in back {
        fleet.replace(service, &next).await;
        until_placed(&crowd, SOME_ORDERS / 3).await;
        assert_eq!(is_stated(&crowd).await, knows_statements(&fleet, &next), "{service} is the newest of N+1");
    }
    assert!(crossing::columns(&databases).await.contains("body"));
    assert!(flotilla_fleet::SERVICES.iter().all(|service| fleet.running(service) == next), "no N runs any more");
    assert!(fleet.migrate("notification", &contracted).await, "the schema is contracted");
    until_placed(&crowd, SOME_ORDERS).await;
    fleet.replace("notification", &contracted).await;
    let columns = crossing::columns(&databases).await;
    assert!(!columns.contains("body") && columns.contains("text"), "{columns:?}");
    crossing::assert_kept(&databases, &texts).await;
    until_placed(&crowd, SOME_ORDERS).await;
    assert!(is_stated(&crowd).await);
    load.stop().await;
    fleet.assert_sound("contracted", BTreeSet::new()).await;
    let newest = crossing::newest(&databases, crowd.shop.customer(0).user_id()).await;
    feed.end_with(newest).await;
    println!("feed: {newest} deliveries, none missing, none twice");
    crowd.tally.assert_clean("contracted");
    report(&fleet, &crowd);
}

/// Breaks the schema where the self-test asks for it, as in `out=path/to/some.sql`: the test has to fail then.
async fn sabotage(when: &str, databases: &Databases) {
    let asked = std::env::var("FLOTILLA_UPGRADE_SABOTAGE").unwrap_or_default();
    if let Some((_, path)) = asked.split_once('=').filter(|(moment, _)| *moment == when) {
        let sql = std::fs::read_to_string(path).unwrap();
        databases.of("notification").unwrap().batch_execute(&sql).await.unwrap();
        println!("sabotaged after {when}");
    }
}

/// Rolls a build out as a cluster does: replicas of it come up beside the others, both at work until messages have gone
/// every way between them; then each service is replaced, and the ones beside end.
async fn roll(fleet: &mut Fleet, crowd: &Crowd, order: [&str; 6], build: &Build) -> Ways {
    let databases = fleet.databases().await;
    let since: SystemTime = outcome::now(&databases).await.unwrap();
    let beside = Beside::start(fleet, build).await;
    crossing::until_all(&databases, since, async || crowd.top_up().await).await;
    for service in beside::SERVICES {
        assert!(beside.applied(service).await > 0.0, "{service} beside the other build has applied nothing");
    }
    for service in order {
        fleet.replace(service, build).await;
        // Mixed for a while: orders are placed at each step.
        until_placed(crowd, SOME_ORDERS / 3).await;
    }
    beside.stop().await;
    crossing::ways(&databases, since).await
}

/// Waits until so many more orders were accepted.
async fn until_placed(crowd: &Crowd, orders: u64) {
    let (wanted, until) = (crowd.tally.count("order") + orders, Instant::now() + PATIENCE);
    while crowd.tally.count("order") < wanted {
        assert!(Instant::now() < until, "orders aren't accepted any more");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the payment of an order that is placed now is shown with its statement, over REST.
async fn is_stated(crowd: &Crowd) -> bool {
    let (number, until) = (crowd.shop.stamp(), Instant::now() + PATIENCE);
    let (customer, lines) = (crowd.shop.customer(1), crowd.shop.two_lines(1));
    let order = customer.place_order(lines.into(), &format!("stated-{number}")).await.unwrap().name;
    loop {
        let deliveries = crowd.deliveries(1).await;
        let is_its = |one: &&Value| one["order"] == *order && one["kind"] == "DELIVERY_KIND_PAYMENT_CHARGED";
        if let Some(delivery) = deliveries["deliveries"].as_array().unwrap().iter().find(is_its) {
            assert!(delivery["text"].as_str().is_some_and(|text| text.starts_with("You paid ")), "{delivery}");
            return delivery["statement"].as_str().is_some_and(|statement| statement.starts_with("FLOTILLA"));
        }
        assert!(Instant::now() < until, "the payment isn't told");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether those on a statement's way are all of N+1: payments says it, notification keeps and shows it, the gateway
/// writes it as JSON.
fn knows_statements(fleet: &Fleet, next: &Build) -> bool {
    ["payments", "notification", "gateway"].iter().all(|service| fleet.running(service) == *next)
}

fn told(ways: &Ways) -> String {
    let build = |next: bool| if next { "N+1" } else { "N" };
    let way = |((orders, payments, notification), count): (&(bool, bool, bool), &usize)| {
        format!("{} > {} > {}: {count}", build(*orders), build(*payments), build(*notification))
    };
    format!("payments by orders > payments > notification: {}", ways.iter().map(way).collect::<Vec<_>>().join(", "))
}

fn report(fleet: &Fleet, crowd: &Crowd) {
    let mut took: Vec<_> = fleet.replaced.iter().map(|(_, took)| took.as_millis()).collect();
    took.sort_unstable();
    println!(
        "{} replacements: {} ms at the least, median {}, most {}",
        took.len(),
        took[0],
        took[took.len() / 2],
        took[took.len() - 1]
    );
    for (service, took) in &fleet.replaced {
        println!("  {service}: {} ms", took.as_millis());
    }
    println!("requests:\n{}  over gRPC, repeats hidden by the client: {}", crowd.tally.report(), crowd.api.repeats());
}
