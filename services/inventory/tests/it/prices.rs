//! Live prices: every reader of every replica gets them, whatever happens to the broker.

mod losses;

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_inventory::Inventory;
use flotilla_proto::inventory::v1::catalog_service_client::CatalogServiceClient;
use flotilla_proto::inventory::v1::{
    DeleteProductRequest, ImportProductsRequest, ImportRow, Product, UpdateProductRequest, WatchPricesRequest,
    WatchPricesResponse,
};
use flotilla_testkit::{ServiceHarness, eventually, fields, refusal};
use futures::stream;
use prost_types::FieldMask;
use tokio::time::timeout;
use tonic::{Code, Streaming};

use crate::world::{TIMEOUT, World, usd};

struct Reader(Streaming<WatchPricesResponse>);

impl Reader {
    async fn open(service: &ServiceHarness, filter: &str, resume_token: &str) -> Self {
        let request = WatchPricesRequest { filter: filter.into(), resume_token: resume_token.into() };
        Self(CatalogServiceClient::new(service.channel()).watch_prices(request).await.unwrap().into_inner())
    }

    async fn next(&mut self) -> WatchPricesResponse {
        timeout(TIMEOUT, self.0.message()).await.expect("a price in time").unwrap().expect("the stream goes on")
    }

    /// The next price as product and cents; deleted ones cost nothing.
    async fn price(&mut self) -> (String, i64) {
        let sent = self.next().await;
        (sent.product.replace("products/", ""), cents(&sent))
    }

    async fn says_nothing_more(&mut self) {
        let next = timeout(Duration::from_millis(400), self.0.message()).await;
        assert!(next.is_err(), "{next:?}");
    }
}

fn cents(price: &WatchPricesResponse) -> i64 {
    price.price.as_ref().map_or(-1, |price| price.units * 100 + i64::from(price.nanos) / 10_000_000)
}

fn price(product: &str, cents: i64) -> (String, i64) {
    (product.to_owned(), cents)
}

async fn delete(world: &World, product: &str) {
    let delete = DeleteProductRequest { name: format!("products/{product}"), etag: String::new() };
    world.catalogue().delete_product(delete).await.unwrap();
}

/// Waits until this replica's readers get a price.
async fn until_sent(service: &ServiceHarness, product: &str, wanted: i64) {
    let mut reader = Reader::open(service, &format!("name = products/{product}"), "").await;
    while reader.price().await.1 != wanted {}
}

/// Waits until this replica's readers no longer get a product, but get another one with a later id.
async fn until_gone(service: &ServiceHarness, product: &str, later: &str) {
    eventually(&format!("{product} is gone"), TIMEOUT, || async {
        // Present prices come in the order of the ids.
        let mut reader = Reader::open(service, "", "").await;
        loop {
            match reader.price().await {
                (sent, _) if sent == product => return Err("it was sent"),
                (sent, _) if sent == later => return Ok(()),
                _ => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_gets_the_current_prices_and_then_each_change() {
    let world = World::start().await;
    for product in ["tea", "cup", "old"] {
        world.product(product, 0).await;
    }
    until_sent(&world.service, "old", 100).await;
    delete(&world, "old").await;
    for product in ["tea", "cup"] {
        until_sent(&world.service, product, 100).await;
    }
    until_gone(&world.service, "old", "tea").await;
    let mut reader = Reader::open(&world.service, "", "").await;
    let mut present = vec![reader.price().await, reader.price().await];
    present.sort();
    assert_eq!(present, [price("cup", 100), price("tea", 100)]);

    world.set_price("tea", 250).await;
    let sent = reader.next().await;
    assert_eq!((sent.product.as_str(), sent.price, sent.version), ("products/tea", Some(usd(2, 50)), 2));
    let renamed = Product { name: "products/tea".into(), display_name: "Green".into(), ..Product::default() };
    let mask = FieldMask { paths: vec!["display_name".into()] };
    let rename = UpdateProductRequest { product: Some(renamed), update_mask: Some(mask) };
    world.catalogue().update_product(rename).await.unwrap();
    delete(&world, "cup").await;
    let sent = reader.next().await;
    assert_eq!(
        (sent.product.as_str(), sent.deleted, sent.price),
        ("products/cup", true, None),
        "a new name is no new price"
    );
    world.product("new", 0).await;
    assert_eq!(reader.price().await, price("new", 100));
    reader.says_nothing_more().await;
    drop(reader);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_sees_every_change() {
    let world = World::start().await;
    world.product("tea", 0).await;
    let replica = ServiceHarness::start::<Inventory>(world.settings.clone()).await;
    until_sent(&world.service, "tea", 100).await;
    until_sent(&replica, "tea", 100).await;
    let mut readers = [Reader::open(&world.service, "", "").await, Reader::open(&replica, "", "").await];
    for reader in &mut readers {
        assert_eq!(reader.price().await, price("tea", 100));
    }
    for cents in 101..=130 {
        world.set_price("tea", cents).await;
        for reader in &mut readers {
            assert_eq!(reader.price().await, price("tea", i64::from(cents)));
        }
    }
    drop(readers);
    replica.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_the_latest_prices_and_no_queue() {
    const PRODUCTS: i32 = 1_000;
    let world = World::start().await;
    let import = async |cents: i32| {
        let rows = (0..PRODUCTS).map(|n| ImportProductsRequest {
            row: Some(ImportRow {
                product_id: format!("p{n}"),
                display_name: "Product".into(),
                description: String::new(),
                price: Some(usd(0, cents)),
            }),
            import_id: String::new(),
        });
        let rows = stream::iter(rows.collect::<Vec<_>>());
        world.catalogue().import_products(rows).await.unwrap();
    };
    import(0).await;
    // A connection with room for a few prices on their way; the stream is opened and not read.
    let endpoint = tonic::transport::Endpoint::from_shared(world.service.url()).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut slow = CatalogServiceClient::new(endpoint.connect().await.unwrap());
    let mut reader = Reader(slow.watch_prices(WatchPricesRequest::default()).await.unwrap().into_inner());
    for cents in 1..=10 {
        import(cents).await;
        until_sent(&world.service, "p999", i64::from(cents)).await;
    }
    let (mut latest, mut read) = (BTreeMap::new(), 0);
    while latest.len() < 1_000 || latest.values().any(|cents| *cents != 10) {
        let (product, cents) = reader.price().await;
        latest.insert(product, cents);
        read += 1;
    }
    println!("{read} of 11000 prices were read");
    assert!(read < 6_000, "{read} prices were waiting");
    reader.says_nothing_more().await;
    drop((reader, slow));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_resumes_with_what_has_changed() {
    let world = World::start().await;
    let replica = ServiceHarness::start::<Inventory>(world.settings.clone()).await;
    for product in ["a", "b", "c"] {
        world.product(product, 0).await;
    }
    for (service, product) in [(&world.service, "a"), (&world.service, "b"), (&world.service, "c"), (&replica, "c")] {
        until_sent(service, product, 100).await;
    }
    let mut reader = Reader::open(&world.service, "", "").await;
    assert_eq!(reader.price().await, price("a", 100));
    let in_the_round = reader.next().await.resume_token;
    assert_eq!(reader.price().await, price("c", 100));
    world.set_price("a", 150).await;
    let last = reader.next().await;
    assert_eq!(cents(&last), 150);
    drop(reader);

    world.set_price("b", 200).await;
    delete(&world, "c").await;
    until_sent(&replica, "b", 200).await;
    // At another replica as well.
    let mut resumed = Reader::open(&replica, "", &last.resume_token).await;
    assert_eq!([resumed.price().await, resumed.price().await], [price("b", 200), price("c", -1)]);
    resumed.says_nothing_more().await;
    let mut round = Reader::open(&world.service, "", &in_the_round).await;
    assert_eq!(
        [round.price().await, round.price().await],
        [price("a", 150), price("b", 200)],
        "what was not sent yet, and what changed"
    );

    for (filter, token) in [("price < 1", last.resume_token.as_str()), ("", "rubbish"), ("", &last.resume_token[1..])] {
        let request = WatchPricesRequest { filter: filter.into(), resume_token: token.into() };
        let refused = world.public().watch_prices(request).await.unwrap_err();
        assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["resume_token".to_owned()]));
    }
    drop((resumed, round));
    replica.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_price_that_leaves_the_filter_is_sent_once() {
    let world = World::start().await;
    for product in ["a", "b"] {
        world.product(product, 0).await;
        until_sent(&world.service, product, 100).await;
    }
    let mut reader = Reader::open(&world.service, "price < 2.00 AND name = products/a", "").await;
    assert_eq!(reader.price().await, price("a", 100));
    world.set_price("b", 110).await;
    world.set_price("a", 250).await;
    assert_eq!(reader.price().await, price("a", 250), "it left");
    world.set_price("a", 260).await;
    until_sent(&world.service, "a", 260).await;
    world.set_price("a", 199).await;
    assert_eq!(reader.price().await, price("a", 199), "and came back");
    let request = WatchPricesRequest { filter: "prize < 2".into(), resume_token: String::new() };
    assert_eq!(fields(&world.public().watch_prices(request).await.unwrap_err()), ["filter"]);
    drop(reader);
    world.finish().await;
}

#[tokio::test]
async fn a_drain_ends_streams_and_tells_clients_to_reconnect() {
    let world = World::start().await;
    world.product("a", 0).await;
    let replica = ServiceHarness::start::<Inventory>(world.settings.clone()).await;
    let mut reader = Reader::open(&replica, "", "").await;
    assert_eq!(reader.price().await, price("a", 100));
    let (ended, ()) = tokio::join!(reader.0.message(), replica.stop());
    assert_eq!(refusal(ended), (Code::Unavailable, "SERVER_DRAINING".into()));
    world.finish().await;
}
