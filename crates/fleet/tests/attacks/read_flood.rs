//! One address reads without pause, with a fixed number of requests in flight; each response is a large page.

use std::{net::SocketAddr, sync::Arc};

use flotilla_proto::inventory::v1::ListProductsRequest;
use http_body_util::BodyExt as _;

use crate::{
    attackers::{Attack, Deeds, Sender, connect, grpc, is_begun},
    fleet::fleet,
};

/// Reads in flight.
const IN_FLIGHT: usize = 256;
const CONNECTIONS: usize = 8;
const LIST: &str = "/flotilla.inventory.v1.CatalogService/ListProducts";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_reads_by_one_address_does_not_slow_down_others() {
    let fleet = fleet().await;
    let gateway = fleet.gateway();
    fleet
        .withstands("a flood of reads by one address", async || {
            let mut attack = Attack::new(IN_FLIGHT * 4);
            for _ in 0..CONNECTIONS {
                let deeds = Arc::clone(&attack.deeds);
                attack.spawn(async move {
                    let sender = connect(gateway).await.expect("let in");
                    let reads = (0..IN_FLIGHT / CONNECTIONS).map(|_| read_on(gateway, sender.clone(), &deeds));
                    futures::future::join_all(reads).await;
                });
            }
            attack
        })
        .await;
}

/// Reads one page after another until the connection ends.
async fn read_on(gateway: SocketAddr, mut sender: Sender, deeds: &Deeds) {
    loop {
        let page = ListProductsRequest { page_size: 50, ..ListProductsRequest::default() };
        let Ok(response) = sender.send_request(grpc(gateway, LIST, &page, None)).await else { return };
        deeds.note(is_begun(&response));
        let _read = response.into_body().collect().await;
    }
}
