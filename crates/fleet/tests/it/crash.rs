//! SIGKILL of every service in turn, and of nats-server and PostgreSQL, under load.

use std::time::Duration;

use flotilla_fleet::{SERVICES, chaos, home::Home};

use crate::fleet::fleet;

/// Between two kills: long enough for the one before to be back, short enough that all fall into the load.
const PAUSE: Duration = Duration::from_millis(250);

async fn kill_each(home: Home, targets: Vec<&'static str>) {
    for target in targets {
        tokio::time::sleep(PAUSE).await;
        // One that is just coming back from an earlier kill is tried again until it runs.
        let mut attempts = 0;
        while let Err(error) = chaos::kill(&home, target) {
            attempts += 1;
            assert!(attempts < 400, "{target} doesn't come back: {error:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_survive_the_death_of_each_service_in_turn() {
    let fleet = fleet().await;
    fleet.survive(1_000, 11, |home| kill_each(home, SERVICES.to_vec())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_survive_the_death_of_nats_server() {
    let fleet = fleet().await;
    fleet.survive(1_000, 12, |home| kill_each(home, vec!["nats", "nats", "nats"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_survive_the_death_of_postgresql() {
    let fleet = fleet().await;
    fleet.survive(500, 13, |home| kill_each(home, vec!["postgres"])).await;
}
