//! Many orders at once: hot products, batches, and two replicas.

use std::time::Instant;

use flotilla_inventory::Inventory;
use flotilla_messaging::Event;
use flotilla_proto::inventory::v1::{StockRejected, StockReleased, StockReserved};
use flotilla_testkit::{ServiceHarness, eventually};
use uuid::Uuid;

use crate::world::{TIMEOUT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_unit_is_sold_once_among_a_thousand_buyers() {
    let world = World::start().await;
    world.product("last", 1).await;
    let commands: Vec<Event> = (0..1_000).map(|_| world.reserve(world.ids.next(), &[("last", 1)])).collect();
    world.send(&commands).await;
    eventually("everyone is answered", TIMEOUT, || async {
        let answered = world.published::<StockReserved>().await.len() + world.published::<StockRejected>().await.len();
        if answered == 1_000 { Ok(()) } else { Err(format!("{answered} are")) }
    })
    .await;
    assert_eq!(world.published::<StockReserved>().await.len(), 1);
    assert_eq!(world.level("last").await, (1, 1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_orders_are_decided_in_far_fewer_transactions() {
    let world = World::start().await;
    world.product("tea", 1_000).await;
    let commands: Vec<Event> = (0..100).map(|_| world.reserve(world.ids.next(), &[("tea", 1)])).collect();
    world.send(&commands).await;
    eventually("everyone is answered", TIMEOUT, || async { world.published::<StockReserved>().await.len() == 100 })
        .await;
    let transactions: i64 = world.database.value("SELECT count(DISTINCT xmin::text) FROM reservations", &[]).await;
    assert!(transactions <= 25, "{transactions} transactions for 100 orders in four frames");
    world.finish().await;
}

/// Every order's three commands, shuffled over frames and sent twice, to two replicas of the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_and_repeats_in_any_order_leave_the_books_balanced() {
    let world = World::start_with(|settings| {
        settings.common.nats.parked.poll = flotilla_config::HumanDuration::from_millis(50);
        settings.common.nats.parked.backoff = flotilla_config::HumanDuration::from_millis(50);
        settings.hold.max_batch = 40;
    })
    .await;
    let replica = ServiceHarness::start::<Inventory>(world.settings.clone()).await;
    for product in ["a", "b", "c"] {
        world.product(product, 200).await;
    }
    let seed = world.ids.next();
    println!("seed {seed}");
    let mut random = Random(seed.as_u128());
    let mut commands = Vec::new();
    for _ in 0..300 {
        let order = world.ids.next();
        let products = ["a", "b", "c"];
        let lines =
            [(products[random.below(3)], 1 + i64::try_from(random.below(2)).unwrap()), (products[random.below(3)], 1)];
        commands.push(world.reserve(order, &lines));
        commands.push(world.release(order));
    }
    let repeats = commands.clone();
    commands.extend(repeats);
    random.shuffle(&mut commands);
    let started = Instant::now();
    world.send(&commands).await;
    let of_orders = "SELECT count(*) FROM reservations WHERE state IN ('released', 'tombstone', 'rejected')";
    eventually("every order has ended", TIMEOUT, || async {
        let ended: i64 = world.database.value(of_orders, &[]).await;
        let distinct: std::collections::HashSet<Uuid> =
            world.published::<StockReleased>().await.iter().map(|event| event.id).collect();
        if ended == 300 && distinct.len() == 300 {
            Ok(())
        } else {
            Err(format!("{ended} ended, {} published", distinct.len()))
        }
    })
    .await;
    println!("{} commands took {:?}", commands.len(), started.elapsed());
    for product in ["a", "b", "c"] {
        assert_eq!(world.level(product).await, (200, 0));
    }
    replica.stop().await;
    world.finish().await;
}

/// A small generator (SplitMix64), so that a failure can be repeated from its seed.
struct Random(u128);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = u64::try_from(self.0 & u128::from(u64::MAX)).unwrap();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}
