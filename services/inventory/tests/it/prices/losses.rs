//! Live prices when the bucket, the broker or the database loses something.

use async_nats::jetstream;
use flotilla_proto::inventory::v1::ProductChanged;
use flotilla_testkit::{Stack, nats_client};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_wiped_is_filled_again_and_readers_go_on() {
    let world = World::start_with(|settings| settings.prices.check = Duration::from_millis(200).into()).await;
    for product in ["a", "b"] {
        world.product(product, 0).await;
        until_sent(&world.service, product, 100).await;
    }
    let mut reader = Reader::open(&world.service, "", "").await;
    reader.next().await;
    let token = reader.next().await.resume_token;
    let context = jetstream::new(nats_client(&world.settings.common.nats.url).await);
    context.delete_key_value("prices").await.unwrap();
    eventually("the bucket is filled", TIMEOUT, || async {
        let bucket = context.get_key_value("prices").await.map_err(|error| error.to_string())?;
        let found = [bucket.get("a").await, bucket.get("b").await];
        if found.iter().all(|found| matches!(found, Ok(Some(_)))) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    world.set_price("a", 300).await;
    assert_eq!(reader.price().await, price("a", 300), "the stream stayed open and sent nothing twice");
    let mut resumed = Reader::open(&world.service, "", &token).await;
    assert_eq!(
        [resumed.price().await, resumed.price().await],
        [price("a", 300), price("b", 100)],
        "all, as nothing is known of it"
    );
    drop((reader, resumed));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_to_an_earlier_point_readers_get_the_restored_prices() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |settings| settings.prices.check = Duration::from_millis(200).into()).await;
    for product in ["a", "z"] {
        world.product(product, 0).await;
        until_sent(&world.service, product, 100).await;
    }
    stack.save_postgres().await.unwrap();
    world.set_price("a", 500).await;
    world.product("lost", 0).await;
    for (product, cents) in [("a", 500), ("lost", 100)] {
        until_sent(&world.service, product, cents).await;
    }
    let mut reader = Reader::open(&world.service, "", "").await;
    assert_eq!(reader.price().await, price("a", 500));
    let token = reader.next().await.resume_token;
    assert_eq!(reader.price().await, price("z", 100));

    stack.restore_postgres().await.unwrap();
    let mut corrected = vec![reader.price().await, reader.price().await];
    corrected.sort();
    assert_eq!(corrected, [price("a", 100), price("lost", -1)], "a reader that outlived the restore");
    until_sent(&world.service, "a", 100).await;
    let mut resumed = Reader::open(&world.service, "", &token).await;
    assert_eq!(resumed.price().await, price("a", 100), "a token of the lost time");
    let replica = ServiceHarness::start::<Inventory>(world.settings.clone()).await;
    until_sent(&replica, "a", 100).await;
    until_gone(&replica, "lost", "z").await;
    drop((reader, resumed));
    replica.stop().await;
    world.service.stop().await;
}

#[tokio::test]
async fn an_event_whose_change_a_restore_has_undone_brings_no_price_back() {
    let world = World::start().await;
    for product in ["a", "z"] {
        world.product(product, 0).await;
        until_sent(&world.service, product, 100).await;
    }
    let mut reader = Reader::open(&world.service, "", "").await;
    assert_eq!([reader.price().await, reader.price().await], [price("a", 100), price("z", 100)]);
    for (product, version) in [("a", 9), ("lost", 1)] {
        let (product_id, currency_code) = (product.to_owned(), "USD".to_owned());
        let undone =
            ProductChanged { product_id, version, price_minor: 900, currency_code, ..ProductChanged::default() };
        world.send(&[world.event(product, version, &undone)]).await;
    }
    world.set_price("z", 300).await;
    assert_eq!(reader.price().await, price("z", 300), "the next change of the catalogue, and nothing before it");
    world.set_price("a", 200).await;
    assert_eq!(reader.price().await, price("a", 200));
    drop(reader);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_does_not_resume_in_a_bucket_that_was_restored_unnoticed() {
    let world = World::start().await;
    world.product("a", 0).await;
    world.product("b", 0).await;
    until_sent(&world.service, "a", 100).await;
    until_sent(&world.service, "b", 100).await;
    let context = jetstream::new(nats_client(&world.settings.common.nats.url).await);
    let created = async || context.get_stream("KV_prices").await.ok().map(|bucket| bucket.cached_info().created);
    let before = created().await;
    eventually("what was written is noted", TIMEOUT, || async {
        world.database.value::<i64>("SELECT coalesce(max(revision), 0) FROM price_bucket", &[]).await == 2
    })
    .await;
    let mut reader = Reader::open(&world.service, "", "").await;
    let token = reader.next().await.resume_token;
    drop(reader);
    // As if the broker's disk had come back from an earlier time while no replica ran: more was written than is there.
    world.database.query("UPDATE price_bucket SET revision = revision + 5", &[]).await;
    let replica = ServiceHarness::start::<Inventory>(world.settings.clone()).await;
    eventually("another bucket", TIMEOUT, || async { created().await.is_some_and(|now| Some(now) != before) }).await;
    until_sent(&replica, "b", 100).await;
    eventually("what the repair has written is noted", TIMEOUT, || async {
        world.database.value::<i64>("SELECT max(revision) FROM price_bucket", &[]).await == 2
    })
    .await;
    let mut resumed = Reader::open(&replica, "", &token).await;
    assert_eq!(
        [resumed.price().await, resumed.price().await],
        [price("a", 100), price("b", 100)],
        "all, from the start"
    );
    drop(resumed);
    replica.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_misses_a_price_when_the_broker_loses_everything() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, |settings| settings.prices.check = Duration::from_millis(200).into()).await;
    world.product("a", 0).await;
    until_sent(&world.service, "a", 100).await;
    let mut reader = Reader::open(&world.service, "", "").await;
    assert_eq!(reader.price().await, price("a", 100));
    stack.wipe_nats().await.unwrap();
    world.set_price("a", 200).await;
    // A replica that starts now has only the database.
    let replica = ServiceHarness::start::<Inventory>(world.settings.clone()).await;
    until_sent(&replica, "a", 200).await;
    reader.says_nothing_more().await;
    stack.restart_nats().await.unwrap();
    assert_eq!(reader.price().await, price("a", 200));
    world.set_price("a", 300).await;
    assert_eq!(reader.price().await, price("a", 300));
    until_sent(&replica, "a", 300).await;
    drop(reader);
    replica.stop().await;
    world.service.stop().await;
}
