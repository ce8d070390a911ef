//! The relay reads ahead while it publishes a full batch.

use std::time::Duration;

use flotilla_messaging::RelaySettings;
use uuid::Uuid;

use super::{World, eventually};
use crate::fixtures::{KIND, event};

#[tokio::test(start_paused = true)]
async fn a_read_ahead_after_a_full_batch_passes_over_no_running_transaction() {
    let mut world = World::new(18);
    let relay = world.relay_with("first", RelaySettings { batch: 3, ..RelaySettings::default() });
    let full: Vec<_> = (0..3).map(|_| event(&world.ids, KIND, "full")).collect();
    for event in &full {
        world.commit(std::slice::from_ref(event));
    }
    let (early, late) = (event(&world.ids, KIND, "early"), event(&world.ids, KIND, "late"));
    let mut slow = world.orders.transaction();
    slow.append(std::slice::from_ref(&early));
    world.commit(std::slice::from_ref(&late));
    world.spawn(relay.run(world.shutdown.clone()));
    // The first batch is full, so the next is read while it is published.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut wanted: Vec<Uuid> = full.iter().map(|event| event.id).collect();
    assert_eq!(world.streamed(), wanted, "a row above a running transaction must wait");
    slow.commit().unwrap();
    wanted.extend([early.id, late.id]);
    eventually("all published", || world.streamed() == wanted).await;
    world.stop().await;
}
