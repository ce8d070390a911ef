//! The broker loses messages before the end of its streams, under load.

use flotilla_fleet::{command::workload, home::Home};
use flotilla_workload::chaos::Loss;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{runtime::Handle, task::block_in_place};

use crate::fleet::fleet;

fn inflict(loss: Loss, seed: u64) -> impl FnOnce(&Home) -> anyhow::Result<()> {
    move |home: &Home| {
        let mut random = StdRng::seed_from_u64(seed);
        block_in_place(|| Handle::current().block_on(loss.inflict(&workload::fleet(home)?, home, &mut random)))
            .map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_orders_survive_lost_messages_of_every_kind() {
    let fleet = fleet().await;
    let losses = [1, 2].map(|seed| Loss::ALL.map(|loss| inflict(loss, seed))).into_iter().flatten();
    fleet.survive(1_000, 31, losses.collect()).await;
}
