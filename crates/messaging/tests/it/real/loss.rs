//! Losses before a stream's end on a real server: by age, purge, deletion and damaged files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use flotilla_messaging::{Event, NatsSettings, RetentionSettings};
use flotilla_servers::Nats;
use flotilla_testkit::{Database, assert_outbox_published, eventually, nats_client};

use super::broker::own_nats;
use super::{CONSUMER, Node, ORDERS, PAYMENTS, TIMEOUT, database, eventually_applied, settings};
use crate::fixtures::{KIND, event, events};

/// Orders publishes; payments has applied `acked` frames and is down while more are published.
struct World {
    orders: Node,
    orders_db: Database,
    payments_db: Database,
    settings: NatsSettings,
    sent: Vec<Event>,
}

impl World {
    async fn new(settings: NatsSettings, acked: usize, waiting: usize) -> Self {
        let (orders_db, payments_db) = (database("orders").await, database("payments").await);
        let orders = Node::start(&orders_db, ORDERS, &settings, vec![]).await;
        let mut world = Self { orders, orders_db, payments_db, settings, sent: Vec::new() };
        let payments = world.payments().await;
        world.publish(acked).await;
        eventually_applied(&world.payments_db, &world.sent).await;
        world.floor_is_known(acked).await;
        payments.stop().await;
        world.publish(waiting).await;
        world
    }

    async fn payments(&self) -> Node {
        Node::start(&self.payments_db, PAYMENTS, &self.settings, vec![(CONSUMER, Arc::default())]).await
    }

    /// Frames of one event each.
    async fn publish(&mut self, frames: usize) {
        for _ in 0..frames {
            let batch = events(&self.orders.ids, KIND, 1);
            self.orders.commit(&batch).await;
            assert_outbox_published(&self.orders_db).await;
            self.sent.extend(batch);
        }
    }

    async fn floor_is_known(&self, acked: usize) {
        eventually("the relay knows what is acked", TIMEOUT, || async {
            let rows = self.orders_db.query("SELECT floor FROM relay_consumer", &[]).await;
            rows.first().is_some_and(|row| row.get::<_, i64>(0) >= i64::try_from(acked).unwrap())
        })
        .await;
    }

    async fn stream(&self) -> stream::Stream {
        jetstream::new(nats_client(&self.settings.url).await).get_stream("ORDERS").await.unwrap()
    }

    /// Waits until the relay has noticed that the sequences are gone.
    async fn noticed(&self, sequences: &str) {
        let sql = "SELECT EXISTS (SELECT FROM relay_stream WHERE gone @> $1::text::int8multirange)";
        eventually("the loss is noticed", TIMEOUT, || async { self.orders_db.value::<bool>(sql, &[&sequences]).await })
            .await;
    }

    /// Payments comes back; asserts that everything is applied once.
    async fn finish(self) {
        assert_outbox_published(&self.orders_db).await;
        let payments = self.payments().await;
        eventually_applied(&self.payments_db, &self.sent).await;
        flotilla_testkit::assert_nothing_left(&[&self.orders_db, &self.payments_db], &self.settings.url, &["ORDERS"])
            .await;
        eventually_applied(&self.payments_db, &self.sent).await;
        assert_eq!(self.orders_db.value::<i64>("SELECT count(*) FROM relay_loss", &[]).await, 0);
        payments.stop().await;
        self.orders.stop().await;
    }
}

#[tokio::test]
async fn what_is_purged_while_a_consumer_is_away_comes_again() {
    let world = World::new(settings(&flotilla_testkit::stack().await.nats_url()), 5, 8).await;
    world.stream().await.purge().await.unwrap();
    world.noticed("{[1,13]}").await;
    world.finish().await;
}

#[tokio::test]
async fn single_deleted_messages_come_again() {
    let world = World::new(settings(&flotilla_testkit::stack().await.nats_url()), 5, 8).await;
    for sequence in [2, 7, 10, 11] {
        world.stream().await.delete_message(sequence).await.unwrap();
    }
    world.noticed("{[2,2],[7,7],[10,11]}").await;
    world.finish().await;
}

#[tokio::test]
async fn what_ages_out_while_a_consumer_is_away_comes_again() {
    // Long enough for the first part of the test; the later part doesn't need these messages.
    let age = Duration::from_secs(5);
    let mut world = World::new(settings(&flotilla_testkit::stack().await.nats_url()), 5, 8).await;
    let mut config = world.stream().await.cached_info().config.clone();
    let window = config.duplicate_window;
    config.max_age = age;
    config.duplicate_window = age;
    jetstream::new(nats_client(&world.settings.url).await).update_stream(&config).await.unwrap();
    world.noticed("{[1,13]}").await;
    config.max_age = world.settings.stream_max_age.0;
    config.duplicate_window = window;
    jetstream::new(nats_client(&world.settings.url).await).update_stream(&config).await.unwrap();
    world.publish(1).await;
    // Copies that aged out meanwhile are noticed too.
    world.finish().await;
}

#[tokio::test]
async fn what_a_consumer_has_acked_goes_without_notice() {
    let world = World::new(settings(&flotilla_testkit::stack().await.nats_url()), 8, 0).await;
    world.stream().await.purge().await.unwrap();
    world.noticed("{[1,8]}").await;
    assert_eq!(world.stream().await.cached_info().state.last_sequence, 8, "nothing was published again");
    world.finish().await;
}

/// The files of a stream's messages, oldest first.
fn blocks(store: &Path) -> Vec<PathBuf> {
    let mut folders = vec![store.to_owned()];
    let mut blocks = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "blk")
                && path.to_string_lossy().contains("/ORDERS/")
            {
                blocks.push(path);
            }
        }
    }
    blocks.sort_by_key(|path| path.file_stem().unwrap().to_string_lossy().parse::<u64>().unwrap());
    blocks
}

/// A stream of several files, of which payments has acked the first part.
async fn stream_of_files(server: &Nats) -> World {
    let mut world = World::new(settings(&server.url()), 5, 0).await;
    // Frames near the largest size: a file holds eight megabytes.
    let large = Bytes::from(vec![b'x'; 900_000]);
    for _ in 0..30 {
        let one = Event { data: large.clone(), ..event(&world.orders.ids, KIND, "large") };
        world.orders.commit(std::slice::from_ref(&one)).await;
        assert_outbox_published(&world.orders_db).await;
        world.sent.push(one);
    }
    assert!(blocks(&server.store_dir()).len() >= 3);
    world
}

#[tokio::test]
async fn what_a_damaged_file_held_comes_again() {
    let mut server = own_nats("damage").await;
    let world = stream_of_files(&server).await;
    server.kill().await;
    let block = blocks(&server.store_dir()).remove(1);
    let mut bytes = std::fs::read(&block).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&block, bytes).unwrap();
    forget_index(&server.store_dir());
    server.restart().await.unwrap();
    world.finish().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_removed_file_held_comes_again() {
    let mut server = own_nats("removal").await;
    let world = stream_of_files(&server).await;
    server.kill().await;
    std::fs::remove_file(blocks(&server.store_dir()).remove(1)).unwrap();
    forget_index(&server.store_dir());
    server.restart().await.unwrap();
    world.finish().await;
    server.stop().await.unwrap();
}

/// Without the index the server rescans its files, as after a crash.
fn forget_index(store: &Path) {
    for block in blocks(store) {
        let index = block.with_file_name("index.db");
        if index.exists() {
            std::fs::remove_file(index).unwrap();
        }
    }
}

#[tokio::test]
async fn a_consumer_further_behind_than_the_outbox_is_recorded() {
    let settings = NatsSettings {
        retention: RetentionSettings { interval: Duration::from_millis(200).into(), ..RetentionSettings::default() },
        ..settings(&flotilla_testkit::stack().await.nats_url())
    };
    let world = World::new(settings, 5, 8).await;
    // Three days pass: the outbox drops what was published before them.
    let db = &world.orders_db;
    db.query("UPDATE relay_checkpoint SET recorded_at = recorded_at - interval '3 days'", &[]).await;
    db.query("DELETE FROM outbox", &[]).await;
    eventually("thinned", TIMEOUT, || async {
        db.value::<i64>("SELECT count(*) FROM relay_checkpoint", &[]).await == 1
    })
    .await;
    world.stream().await.purge().await.unwrap();
    let sql = "SELECT EXISTS (SELECT FROM relay_loss WHERE (consumer, first_sequence, last_sequence) = ('payments-orders', 6, 13))";
    eventually("recorded", TIMEOUT, || async { db.value::<bool>(sql, &[]).await }).await;
    world.orders.stop().await;
}
