//! The broker is disposable: its disk is wiped under load.

use flotilla_fleet::home::Home;
use flotilla_workload::chaos;

use crate::fleet::fleet;

fn wipe(home: &Home) -> anyhow::Result<()> {
    std::fs::write(home.request("wipe-nats"), b"")?;
    chaos::kill(home, "nats")
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_orders_survive_the_loss_of_jetstreams_disk() {
    let fleet = fleet().await;
    fleet.survive(500, 21, vec![wipe]).await;
    assert!(!fleet.home.request("wipe-nats").exists(), "the disk was not wiped");
}
