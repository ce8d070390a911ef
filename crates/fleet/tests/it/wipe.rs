//! The broker is disposable: its disk is wiped under load.

use std::time::Duration;

use flotilla_fleet::{chaos, home::Home};

use crate::fleet::fleet;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_orders_survive_the_loss_of_jetstreams_disk() {
    let fleet = fleet().await;
    fleet
        .survive(500, 21, |home: Home| async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            std::fs::write(home.request("wipe-nats"), b"").unwrap();
            chaos::kill(&home, "nats").unwrap();
        })
        .await;
    assert!(!fleet.home.request("wipe-nats").exists(), "the disk was not wiped");
}
