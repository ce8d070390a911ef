//! Everything at once, from a seed: commits that overlap, brokers that lose, stores that refuse, processes that die.

use std::sync::Arc;
use std::time::Duration;

use flotilla_messaging::RelaySettings;
use flotilla_postgres::ErrorKind;
use flotilla_testkit::memory::StoreFault;

use super::{CONSUMER, Counting, Keyed, OfFrames, STREAM, World};
use crate::fixtures::{COMMAND, KIND, events};

#[tokio::test(start_paused = true)]
async fn whatever_fails_each_event_is_applied_once() {
    let seeds: Vec<u64> = match std::env::var("FLOTILLA_TEST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => {
            let count = std::env::var("FLOTILLA_TEST_SEEDS").map_or(40, |count| count.parse().unwrap());
            (1_000..1_000 + count).collect()
        }
    };
    for seed in seeds {
        run(seed).await;
    }
}

/// Who consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consumers {
    /// Those that claim events.
    OfEvents,
    /// Those that claim frames, of a relay that names them.
    OfFrames,
    /// Both on one durable name, idempotent by key, of relays of which some name no frames: a rolling upgrade. Commands are
    /// sent again in other frames.
    Mixed,
}

async fn run(seed: u64) {
    for consumers in [Consumers::OfEvents, Consumers::OfFrames, Consumers::Mixed] {
        println!("{consumers:?}");
        simulate(seed, consumers).await;
    }
}

async fn simulate(seed: u64, consumers: Consumers) {
    let mut world = World::new(seed);
    let random = Arc::clone(&world.random);
    // A publication that takes time can be interrupted halfway.
    world.broker.set_latency(Duration::from_millis(random.below(100)));
    start(&mut world, consumers);
    // A consumer is covered from the relay's first check after its creation.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut sent = Vec::new();
    let mut open = Vec::new();
    for _ in 0..60 {
        match random.below(19) {
            0..=4 => {
                let kind = if random.below(2) == 0 { KIND } else { COMMAND };
                let batch = events(&world.ids, kind, 1 + random.below(20) as usize);
                let mut tx = world.orders.transaction();
                tx.append(&batch);
                sent.extend(batch);
                open.push(tx);
            }
            5 => world.broker.wipe(),
            6 => world.broker.cut_tail(STREAM, random.below(6)),
            7 => world.broker.lose_acks(1 + random.below(3) as u32),
            8 => world.broker.set_down(random.below(2) == 0),
            9 => world.payments.fail(fault(random.below(5))),
            10 => world.orders.fail(StoreFault::Advance(ErrorKind::Unavailable)),
            11 => world.broker.age(STREAM, random.below(30)),
            12 => lose_some(&world),
            13 if random.below(2) == 0 => world.broker.purge(STREAM),
            13 => world.broker.delete_consumer(STREAM, CONSUMER.name),
            14 => world.broker.set_full(true),
            15 => world.broker.set_full(false),
            16 if consumers == Consumers::Mixed => world.broker.set_nameless(random.below(2) == 0),
            17 if consumers == Consumers::Mixed && !sent.is_empty() => {
                let first = random.below(sent.len() as u64) as usize;
                world.commit(&sent[first..(first + 3).min(sent.len())]);
            }
            16 | 17 => {}
            _ => {
                world.crash().await;
                start(&mut world, consumers);
            }
        }
        // Any of the open transactions may be the next to commit.
        while open.len() > random.below(4) as usize {
            let next = random.below(open.len() as u64) as usize;
            open.swap_remove(next).commit().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(random.below(4_000))).await;
    }
    for tx in open {
        tx.commit().unwrap();
    }
    world.broker.set_down(false);
    world.broker.set_full(false);
    // Longer than the check of the stream and the lease of whoever died last.
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.quiet().await;
    world.assert_each_applied_once(&sent);
    assert!(world.payments.parked().is_empty(), "seed {seed}: something was parked");
    assert!(world.orders.losses().is_empty(), "seed {seed}: the outbox had all of it");
    world.stop().await;
}

/// Loses single messages, or a part of the stream as a damaged file does.
fn lose_some(world: &World) {
    let last = world.broker.last(STREAM).max(1);
    let first = 1 + world.random.below(last);
    world.broker.lose(STREAM, first..=first + world.random.below(12));
}

fn start(world: &mut World, consumers: Consumers) {
    for holder in ["first", "second"] {
        let settings = RelaySettings {
            batch: 1 + world.random.below(24) as usize,
            checkpoint: Duration::from_millis(world.random.below(200)).into(),
            ..RelaySettings::default()
        };
        let relay = world.relay_with(&format!("{holder} {}", world.ids.next()), settings);
        let shutdown = world.shutdown.clone();
        world.spawn(relay.run(shutdown));
        match consumers {
            Consumers::OfEvents => world.start_consumer(Arc::new(Counting)),
            Consumers::OfFrames => world.start_consumer(Arc::new(OfFrames(Counting))),
            Consumers::Mixed if holder == "first" => world.start_consumer(Arc::new(Keyed)),
            Consumers::Mixed => world.start_consumer(Arc::new(OfFrames(Keyed))),
        }
    }
}

fn fault(number: u64) -> StoreFault {
    match number {
        0 => StoreFault::CommitAnswer,
        1 => StoreFault::Begin(ErrorKind::Unavailable),
        2 => StoreFault::Commit(ErrorKind::Conflict),
        3 => StoreFault::Commit(ErrorKind::Timeout),
        _ => StoreFault::Commit(ErrorKind::Unavailable),
    }
}
