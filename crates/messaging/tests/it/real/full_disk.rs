//! The disk of the broker, then of the database, fills up under load and is freed again: nothing is lost, and
//! everything recovers by itself. Each server's data are on a small disk of their own (tmpfs), which requires the right
//! to mount.
//!
//! `FLOTILLA_DISK_SECONDS` sets how long the disk stays full; the default is ten seconds.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_messaging::migrations;
use flotilla_messaging::{BrokerError, Bucket, Event, NatsSettings};
use flotilla_servers::{Layout, Postgres, PostgresOptions, provision};
use flotilla_testkit::{Database, assert_nothing_left, eventually, stack};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::broker::own_nats;
use super::bucket::replica;
use super::{CONSUMER, Node, ORDERS, PAYMENTS, database, eventually_applied, prepare, settings};
use crate::fixtures::{KIND, events};

/// The deadline for recovery.
const RECOVERY: Duration = Duration::from_secs(30);

/// A small disk, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// Mounts it over a folder and keeps the folder's owner; `None` if mounting isn't allowed.
    fn over(folder: &Path, megabytes: u32) -> Option<Self> {
        let owner = std::fs::metadata(folder).unwrap();
        let options = format!("size={megabytes}m,mode=0700,uid={},gid={}", owner.uid(), owner.gid());
        let options = std::ffi::CString::new(options).unwrap();
        match mount("tmpfs", folder, "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(Self(folder.to_owned())),
            Err(error) => {
                println!("SKIPPED full disk: no file system can be mounted: {error}");
                assert!(std::env::var("CI").as_deref() != Ok("true"), "CI may mount");
                None
            }
        }
    }

    /// Fills the disk.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        while file.write_all(&[0; 65_536]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).ok();
    }
}

fn full_for() -> Duration {
    let seconds = std::env::var("FLOTILLA_DISK_SECONDS").map_or(10, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Commits while it can, and records what was committed.
async fn load(node: &Node, sent: &mut Vec<Event>, until: Instant) {
    while Instant::now() < until {
        let batch = events(&node.ids, KIND, 20);
        if commit(node, &batch).await.is_ok() {
            sent.extend(batch);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn commit(node: &Node, batch: &[Event]) -> anyhow::Result<()> {
    let tx = node.pool.begin().await?;
    node.outbox.append(&tx, batch).await?;
    tx.commit().await?;
    Ok(())
}

async fn assert_flows(
    nodes: [Node; 2],
    databases: [&Database; 2],
    settings: &NatsSettings,
    sent: &[Event],
    freed: Instant,
) {
    eventually_applied(databases[1], sent).await;
    assert!(freed.elapsed() < RECOVERY, "{:?}", freed.elapsed());
    println!("flowed again after {:?}, {} events", freed.elapsed(), sent.len());
    assert_nothing_left(&databases, &settings.url, &["ORDERS"]).await;
    eventually_applied(databases[1], sent).await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test]
async fn events_flow_again_after_the_broker_s_disk_was_full() {
    let mut server = own_nats("full-nats").await;
    server.stop().await.unwrap();
    let Some(disk) = Disk::over(&server.store_dir(), 64) else { return };
    server.restart().await.unwrap();
    let (orders_db, payments_db) = (database("orders").await, database("payments").await);
    let settings = settings(&server.url());
    let orders = Node::start(&orders_db, ORDERS, &settings, vec![]).await;
    let payments = Node::start(&payments_db, PAYMENTS, &settings, vec![(CONSUMER, Arc::default())]).await;
    let mut sent = Vec::new();
    load(&orders, &mut sent, Instant::now() + Duration::from_secs(2)).await;
    disk.fill();
    load(&orders, &mut sent, Instant::now() + full_for()).await;
    let waiting = "SELECT pending FROM outbox_backlog(100000)";
    assert!(orders_db.value::<i64>(waiting, &[]).await > 0, "the disk wasn't full");
    disk.free();
    let freed = Instant::now();
    assert_flows([orders, payments], [&orders_db, &payments_db], &settings, &sent, freed).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_bucket_takes_values_again_after_the_broker_s_disk_was_full() {
    let mut server = own_nats("full-bucket").await;
    server.stop().await.unwrap();
    let Some(disk) = Disk::over(&server.store_dir(), 64) else { return };
    server.restart().await.unwrap();
    let bucket = replica(&server.url()).await;
    assert!(write(&bucket).await.is_ok());
    disk.fill();
    let (end, mut refused) = (Instant::now() + full_for(), false);
    while Instant::now() < end {
        refused |= write(&bucket).await.is_err();
    }
    assert!(refused, "the disk wasn't full");
    disk.free();
    let freed = Instant::now();
    eventually("a value is taken", RECOVERY, || async { write(&bucket).await }).await;
    println!("took values again after {:?}", freed.elapsed());
    server.stop().await.unwrap();
}

/// Opens the bucket and writes a value of some size.
async fn write(bucket: &Bucket) -> Result<(), BrokerError> {
    let open = bucket.open().await?;
    let seen = open.get("a").await?.map_or(0, |kept| kept.revision);
    open.put("a", vec![b'x'; 32 * 1024].into(), seen).await.map(drop)
}

/// Restarts PostgreSQL whenever it exits, as the supervisor and containers do.
async fn keep_alive(mut server: Postgres, stop: CancellationToken) -> Postgres {
    while stop.run_until_cancelled(server.ended()).await.is_some() {
        if server.restart().await.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    server
}

#[tokio::test]
async fn events_flow_again_after_the_database_s_disk_was_full() {
    let layout = Layout::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla")).unwrap();
    let binaries = provision(&layout, &|_| ()).await.unwrap();
    let name = format!("test-{}-full-postgres", std::process::id());
    let Some(disk) = Disk::over(&layout.data(&name).unwrap(), 400) else { return };
    let server = Postgres::start(&binaries, &layout, &name, PostgresOptions::default()).await.unwrap();
    let url = server.url("postgres");
    let sets = || vec![("messaging_history", migrations())];
    let orders_db = prepare(Database::create(&url, "orders", "orders", sets()).await.unwrap()).await;
    let payments_db = prepare(Database::create(&url, "payments", "payments", sets()).await.unwrap()).await;
    let stop = CancellationToken::new();
    let server = tokio::spawn(keep_alive(server, stop.clone()));
    let settings = settings(&stack().await.nats_url());
    let orders = Node::start(&orders_db, ORDERS, &settings, vec![]).await;
    let payments = Node::start(&payments_db, PAYMENTS, &settings, vec![(CONSUMER, Arc::default())]).await;
    let mut sent = Vec::new();
    load(&orders, &mut sent, Instant::now() + Duration::from_secs(2)).await;
    disk.fill();
    let before = sent.len();
    let mut attempted = Vec::new();
    let until = Instant::now() + full_for();
    let mut refused = 0;
    while Instant::now() < until {
        let batch = events(&orders.ids, KIND, 20);
        attempted.push(batch.clone());
        if commit(&orders, &batch).await.is_ok() {
            sent.extend(batch);
        } else {
            refused += 1;
            // Takes the little room that the server's own clean-up makes.
            disk.fill();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused > 0, "the disk wasn't full: {} of {before}", sent.len());
    disk.free();
    let freed = Instant::now();
    // A commit whose response was lost may have succeeded: the outbox shows which.
    let kept = eventually("the database answers", RECOVERY, || async {
        orders.pool.query("SELECT subject, event FROM outbox", &[]).await
    })
    .await;
    let kept: std::collections::HashSet<uuid::Uuid> = kept.iter().flat_map(ids_in).collect();
    assert!(sent.iter().all(|event| kept.contains(&event.id)), "a commit that was told was lost");
    let mut sent: Vec<Event> = sent[..before].to_vec();
    sent.extend(attempted.into_iter().flatten().filter(|event| kept.contains(&event.id)));
    assert_flows([orders, payments], [&orders_db, &payments_db], &settings, &sent, freed).await;
    stop.cancel();
    server.await.unwrap().stop().await.unwrap();
}

/// The ids of the events in a row of the outbox.
fn ids_in(row: &flotilla_postgres::Row) -> Vec<uuid::Uuid> {
    let (subject, payload): (&str, &[u8]) = (row.get(0).unwrap(), row.get(1).unwrap());
    let events = flotilla_messaging::frame::decode(subject, &bytes::Bytes::copy_from_slice(payload)).unwrap();
    events.into_iter().map(|event| event.unwrap().id).collect()
}
