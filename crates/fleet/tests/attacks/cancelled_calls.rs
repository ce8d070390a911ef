//! Calls that are sent and cancelled at once, over and over: on each connection as many as the edge allows.

use std::{sync::Arc, time::Duration};

use flotilla_proto::inventory::v1::ListProductsRequest;
use tokio::time::sleep;

use crate::{
    attackers::{Attack, connect, grpc},
    fleet::fleet,
};

/// Connections at a time.
const ATTACKERS: usize = 8;
/// Calls cancelled on one connection before the attacker opens another: the edge closes it soon.
const EACH: usize = 150;
/// The pause between two connections of an attacker.
const PAUSE: Duration = Duration::from_millis(50);
const LIST: &str = "/flotilla.inventory.v1.CatalogService/ListProducts";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_cancelled_are_not_felt() {
    let fleet = fleet().await;
    let gateway = fleet.gateway();
    fleet
        .withstands("calls cancelled at once", async || {
            let mut attack = Attack::new(ATTACKERS * EACH);
            for _ in 0..ATTACKERS {
                let deeds = Arc::clone(&attack.deeds);
                attack.spawn(async move {
                    loop {
                        if let Some(sender) = connect(gateway).await {
                            let calls = (0..EACH).map(|number| {
                                let (mut sender, deeds) = (sender.clone(), Arc::clone(&deeds));
                                let request = grpc(gateway, LIST, &ListProductsRequest::default(), None);
                                // Long enough for most calls to reach the service, too short for most to be answered.
                                let patience = Duration::from_micros(u64::try_from(number).unwrap() * 20);
                                async move {
                                    let cut = tokio::time::timeout(patience, sender.send_request(request)).await;
                                    deeds.note(cut.is_err());
                                }
                            });
                            futures::future::join_all(calls).await;
                        }
                        sleep(PAUSE).await;
                    }
                });
            }
            attack
        })
        .await;
}
