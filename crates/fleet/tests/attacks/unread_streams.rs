//! Streams that are opened and never read: what is buffered for them must block no others.

use std::sync::{Arc, atomic::Ordering};

use flotilla_proto::{
    google::r#type::Money,
    inventory::v1::{
        ImportProductsRequest, ImportRow, WatchPricesRequest, catalog_service_client::CatalogServiceClient,
    },
};
use tonic::Request;

use crate::{
    attackers::{Attack, connect, grpc, is_begun},
    fleet::{Fleet, fleet},
};

/// Anonymous streams, four on a connection.
const STREAMS: usize = 64;
const EACH: usize = 4;
/// Enough prices to fill the windows of the gateway and of the connections behind it many times.
const PRODUCTS: usize = 20_000;
const WATCH: &str = "/flotilla.inventory.v1.CatalogService/WatchPrices";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_streams_do_not_slow_down_others() {
    let fleet = fleet().await;
    fill(&fleet).await;
    let gateway = fleet.gateway();
    fleet
        .withstands("price streams that are never read", async || {
            let mut attack = Attack::new(STREAMS);
            for _ in 0..STREAMS / EACH {
                let deeds = Arc::clone(&attack.deeds);
                attack.spawn(async move {
                    let mut sender = connect(gateway).await.expect("let in");
                    let mut kept = Vec::new();
                    for _ in 0..EACH {
                        let request = grpc(gateway, WATCH, &WatchPricesRequest::default(), None);
                        match sender.send_request(request).await {
                            Ok(response) => {
                                deeds.note(is_begun(&response));
                                kept.push(response);
                            }
                            Err(_) => deeds.note(false),
                        }
                    }
                    std::future::pending::<()>().await;
                });
            }
            attack
        })
        .await;
}

/// Creates a catalogue large enough to fill the windows.
async fn fill(fleet: &Fleet) {
    let row = |number: usize| ImportProductsRequest {
        row: Some(ImportRow {
            product_id: format!("filler-{number}"),
            display_name: format!("Filler no. {number}"),
            description: String::new(),
            price: Some(Money { currency_code: "USD".to_owned(), units: 1, nanos: 0 }),
        }),
        import_id: "filler".to_owned(),
    };
    let mut request = Request::new(futures::stream::iter((0..PRODUCTS).map(row)));
    request.metadata_mut().insert("authorization", fleet.operator.authorization());
    let import = CatalogServiceClient::new(fleet.api.channel()).import_products(request).await.unwrap().into_inner();
    assert_eq!(usize::try_from(import.received).unwrap(), PRODUCTS, "{import:?}");
    // Every stream has to send all of them.
    let known = std::sync::atomic::AtomicUsize::new(0);
    let mut prices = CatalogServiceClient::new(fleet.api.channel())
        .watch_prices(WatchPricesRequest::default())
        .await
        .unwrap()
        .into_inner();
    while known.load(Ordering::Relaxed) < PRODUCTS {
        prices.message().await.unwrap().unwrap();
        known.fetch_add(1, Ordering::Relaxed);
    }
}
