//! SIGKILL of every service in turn, and of nats-server, PostgreSQL and Redis, under load.

use flotilla_fleet::{SERVICES, home::Home};
use flotilla_workload::chaos;

use crate::fleet::fleet;

pub fn kill(target: &'static str) -> impl FnOnce(&Home) -> anyhow::Result<()> {
    move |home: &Home| chaos::kill(home, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_survive_the_death_of_each_service_in_turn() {
    let fleet = fleet().await;
    fleet.survive(1_000, 11, SERVICES.map(kill).into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_survive_the_death_of_nats_server() {
    let fleet = fleet().await;
    fleet.survive(1_000, 12, ["nats"; 3].map(kill).into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_survive_the_death_of_postgresql() {
    let fleet = fleet().await;
    fleet.survive(500, 13, vec![kill("postgres")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_survive_the_death_of_redis() {
    let fleet = fleet().await;
    fleet.survive(500, 14, ["redis"; 3].map(kill).into()).await;
}
