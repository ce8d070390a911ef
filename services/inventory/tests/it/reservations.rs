//! Reserve, release and commit, one order at a time.

use flotilla_config::HumanDuration;
use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::{
    DeleteProductRequest, ReserveStock, StockRejected, StockRejection, StockReleased, StockReserved,
};
use flotilla_testkit::eventually;

use crate::world::{TIMEOUT, World};

#[tokio::test]
async fn an_order_reserves_all_of_its_lines_or_none() {
    let world = World::start().await;
    world.product("tea", 5).await;
    world.product("cup", 1).await;
    let (greedy, modest) = (world.ids.next(), world.ids.next());

    let rejected: StockRejected = world.ask(&world.reserve(greedy, &[("tea", 2), ("cup", 2)])).await;
    assert_eq!(rejected.rejection(), StockRejection::OutOfStock);
    assert_eq!((rejected.order_id, rejected.product_ids), (greedy.to_string(), vec!["cup".to_owned()]));
    assert_eq!(world.level("tea").await, (5, 0));

    let reserved: StockReserved = world.ask(&world.reserve(modest, &[("tea", 5), ("cup", 1)])).await;
    assert_eq!(reserved.order_id, modest.to_string());
    let expires = std::time::SystemTime::try_from(reserved.expire_time.unwrap()).unwrap();
    assert!(expires > world.ids.now(), "the hold lasts for a while");
    assert_eq!((world.level("tea").await, world.level("cup").await), ((5, 5), (1, 1)));
    world.finish().await;
}

#[tokio::test]
async fn a_repeated_command_gets_the_same_reply_and_reserves_once() {
    let world = World::start().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let command = world.reserve(order, &[("tea", 2)]);
    let _: StockReserved = world.ask(&command).await;
    let answered = async |times: usize| {
        eventually("the reply is published again", TIMEOUT, || async {
            let answers = world.answers(&command).await;
            if answers.len() >= times { Ok(answers) } else { Err(format!("{} times", answers.len())) }
        })
        .await
    };
    // One after the other: repeats that are taken in one transaction get one reply.
    world.send(&[command.clone(), command.clone()]).await;
    answered(2).await;
    world.send(std::slice::from_ref(&command)).await;
    let answers = answered(3).await;
    let same = |answer: &Event| (answer.id, &answer.data) == (answers[0].id, &answers[0].data);
    assert!(answers.iter().all(same), "each repeat is the first reply, under its id: {answers:?}");
    assert_eq!(world.level("tea").await, (5, 2));
    world.finish().await;
}

#[tokio::test]
async fn a_second_reserve_under_another_id_gets_the_outcome_of_the_first() {
    let world = World::start().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let first: StockReserved = world.ask(&world.reserve(order, &[("tea", 2)])).await;
    let second: StockReserved = world.ask(&world.reserve(order, &[("tea", 2)])).await;
    assert_eq!(first, second);
    let rejected: StockRejected = world.ask(&world.reserve(world.ids.next(), &[("tea", 9)])).await;
    assert_eq!(rejected.rejection(), StockRejection::OutOfStock);
    assert_eq!(world.level("tea").await, (5, 2));
    world.finish().await;
}

#[tokio::test]
async fn a_release_before_the_reserve_leaves_a_tombstone_that_refuses_it() {
    let world = World::start().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let released: StockReleased = world.ask(&world.release(order)).await;
    assert!(!released.held);
    assert_eq!(world.state(order).await, "tombstone");
    for _ in 0..2 {
        let rejected: StockRejected = world.ask(&world.reserve(order, &[("tea", 1)])).await;
        assert_eq!(rejected.rejection(), StockRejection::Released);
    }
    let again: StockReleased = world.ask(&world.release(order)).await;
    assert!(!again.held);
    assert_eq!(world.level("tea").await, (5, 0));
    world.finish().await;
}

#[tokio::test]
async fn a_release_gives_everything_back_once() {
    let world = World::start().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let _: StockReserved = world.ask(&world.reserve(order, &[("tea", 3)])).await;
    for _ in 0..2 {
        let released: StockReleased = world.ask(&world.release(order)).await;
        assert!(released.held);
        assert_eq!(world.level("tea").await, (5, 0));
    }
    let late: StockRejected = world.ask(&world.reserve(order, &[("tea", 3)])).await;
    assert_eq!(late.rejection(), StockRejection::Released);
    world.finish().await;
}

#[tokio::test]
async fn a_commit_ships_the_reserved_stock_and_has_no_reply() {
    let world = World::start().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let _: StockReserved = world.ask(&world.reserve(order, &[("tea", 3)])).await;
    let (first, second) = (world.commit(order), world.commit(order));
    world.send(&[first.clone(), second.clone()]).await;
    world.wait_for_state(order, "committed").await;
    assert_eq!(world.level("tea").await, (2, 0));
    assert!(world.answers(&first).await.is_empty() && world.answers(&second).await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_commit_that_overtakes_its_reserve_is_retried_until_it_ships() {
    let world = World::start_with(|settings| {
        settings.common.nats.parked.poll = HumanDuration::from_millis(50);
        settings.common.nats.parked.backoff = HumanDuration::from_millis(100);
    })
    .await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    world.send(&[world.commit(order)]).await;
    let parked = "SELECT count(*) FROM parked WHERE state = 'retrying'";
    eventually("the commit is parked", TIMEOUT, || async { world.database.value::<i64>(parked, &[]).await == 1 }).await;
    let _: StockReserved = world.ask(&world.reserve(order, &[("tea", 3)])).await;
    world.wait_for_state(order, "committed").await;
    assert_eq!(world.level("tea").await, (2, 0));
    world.finish().await;
}

#[tokio::test]
async fn a_deleted_or_unknown_product_is_rejected_as_unknown() {
    let world = World::start().await;
    world.product("tea", 5).await;
    world.product("old", 5).await;
    let gone = DeleteProductRequest { name: "products/old".into(), etag: String::new() };
    world.catalogue().delete_product(gone).await.unwrap();
    let command = world.reserve(world.ids.next(), &[("tea", 1), ("old", 1), ("null", 1)]);
    let rejected: StockRejected = world.ask(&command).await;
    assert_eq!(rejected.rejection(), StockRejection::UnknownProduct);
    assert_eq!(rejected.product_ids, ["null", "old"]);
    assert_eq!(world.level("tea").await, (5, 0));
    world.finish().await;
}

#[tokio::test]
async fn a_malformed_command_is_parked_and_blocks_no_other() {
    let world = World::start().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let nobody = ReserveStock { order_id: "nobody".into(), lines: Vec::new() };
    let bad = [
        world.reserve(order, &[("tea", 0)]),
        world.reserve(order, &[("tea", -1)]),
        world.reserve(order, &[]),
        world.reserve(order, &[("Not an id", 1)]),
        world.reserve(order, &[("tea", i64::MAX), ("tea", 1)]),
        world.command(order, &nobody),
    ];
    world.send(&bad).await;
    let _: StockReserved = world.ask(&world.reserve(order, &[("tea", 1)])).await;
    let dead = "SELECT count(*) FROM parked WHERE state = 'dead'";
    eventually("all are dead letters", TIMEOUT, || async { world.database.value::<i64>(dead, &[]).await == 6 }).await;
    assert_eq!(world.level("tea").await, (5, 1));
    world.finish_with_parked(6).await;
}

#[tokio::test]
async fn a_release_after_the_commit_frees_nothing_and_is_parked() {
    let world = World::start().await;
    world.product("tea", 5).await;
    let order = world.ids.next();
    let _: StockReserved = world.ask(&world.reserve(order, &[("tea", 3)])).await;
    world.send(&[world.commit(order)]).await;
    world.wait_for_state(order, "committed").await;
    world.send(&[world.release(order)]).await;
    let dead = "SELECT count(*) FROM parked WHERE state = 'dead'";
    eventually("the release is a dead letter", TIMEOUT, || async { world.database.value::<i64>(dead, &[]).await == 1 })
        .await;
    assert_eq!(world.level("tea").await, (2, 0));
    world.finish_with_parked(1).await;
}
