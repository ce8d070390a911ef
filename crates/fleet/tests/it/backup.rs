//! A base backup under load, the loss of the databases, restores to points in time, on a fleet of its own.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flotilla_checker::{self as checker, Databases};
use flotilla_fleet::{command::workload, home::state::State};
use flotilla_servers::Layout;
use flotilla_workload::{
    client::Api,
    demo::{Baskets, Options, Shop},
    outcome,
};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    fleet::END_PATIENCE,
    lifecycle::{Own, runs},
};

const SHOP: Options = Options { products: 30, customers: 6, orders: 0, concurrency: 8, seed: None };
const SEED: u64 = 41;
const PAUSE: Duration = Duration::from_millis(20);

/// A fleet with a shop, and what was ordered in it.
struct Ground {
    own: Own,
    shop: Arc<Shop>,
    ordered: usize,
}

impl Ground {
    async fn open(own: Own) -> Self {
        let api = Api::of(&workload::fleet(&own.0).unwrap()).unwrap();
        let operator = api.operator(&workload::fleet(&own.0).unwrap()).await.unwrap();
        let shop = Arc::new(Shop::open(&api, &operator, &SHOP, SEED).await.unwrap());
        Self { own, shop, ordered: 0 }
    }

    async fn run(&self, arguments: &[&str]) {
        let outcome = self.own.run(arguments).await;
        assert!(outcome.success, "{arguments:?}: {outcome:?}");
    }

    async fn refused(&self, arguments: &[&str], reason: &str) {
        let outcome = self.own.run(arguments).await;
        assert!(!outcome.success && outcome.stderr.contains(reason), "{arguments:?}: {outcome:?}");
    }

    /// Orders until told to stop; the ids of all that were accepted.
    fn order_until(
        &mut self,
        stop: &CancellationToken,
        placed: &Arc<AtomicUsize>,
    ) -> impl Future<Output = BTreeSet<Uuid>> + use<> {
        self.ordered += 10_000;
        place(Arc::clone(&self.shop), self.ordered, stop.clone(), usize::MAX, Arc::clone(placed))
    }

    /// Orders so much.
    async fn order(&mut self, orders: usize) -> BTreeSet<Uuid> {
        self.ordered += 10_000;
        place(Arc::clone(&self.shop), self.ordered, CancellationToken::new(), orders, Arc::default()).await
    }

    async fn databases(&self) -> Databases {
        Databases::open(&State::of_running(&self.own.0).unwrap().stores().unwrap()).await.unwrap()
    }

    async fn sql(&self, sql: &str) {
        self.databases().await.rows("orders", sql).await.unwrap();
    }

    /// All orders there are.
    async fn orders(&self) -> BTreeSet<Uuid> {
        let rows = self.databases().await.rows("orders", "SELECT id FROM orders").await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until every order has ended and orders' relay has published it.
    async fn until_published(&self) {
        let databases = self.databases().await;
        outcome::until_ended(&databases, std::time::UNIX_EPOCH, END_PATIENCE, |_| ()).await.unwrap();
        let waiting = "SELECT count(*) FROM outbox, relay_cursor WHERE (outbox.xid, outbox.id) > (relay_cursor.xid, relay_cursor.id)";
        let deadline = Instant::now() + END_PATIENCE;
        while databases.number("orders", waiting).await.unwrap() > 0 {
            assert!(Instant::now() < deadline, "the relay doesn't publish");
            sleep(PAUSE).await;
        }
    }

    /// Waits until all orders have ended and everything is still, then sees that every invariant holds.
    async fn assert_sound(&self) {
        outcome::until_ended(&self.databases().await, std::time::UNIX_EPOCH, END_PATIENCE, |_| ()).await.unwrap();
        let findings = checker::settled(&State::of_running(&self.own.0).unwrap().stores().unwrap(), END_PATIENCE, 0)
            .await
            .unwrap();
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.holds).collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// The whole fleet dies at once, and the databases' disk with it.
    async fn lose_everything(&self) {
        let state = State::of_running(&self.own.0).unwrap();
        flotilla_process::signal(state.supervisor, flotilla_process::Signal::KILL).unwrap();
        let deadline = Instant::now() + END_PATIENCE;
        while state.members.iter().filter_map(|member| member.pid).any(runs) {
            assert!(Instant::now() < deadline, "something outlives the supervisor: {:#?}", state.members);
            sleep(PAUSE).await;
        }
        let layout = Layout::open(self.own.0.servers()).unwrap();
        let data = layout.data(&self.own.0.server_name("postgres")).unwrap();
        std::fs::remove_dir_all(data.join("cluster")).unwrap();
    }
}

async fn place(
    shop: Arc<Shop>,
    first: usize,
    stop: CancellationToken,
    orders: usize,
    placed: Arc<AtomicUsize>,
) -> BTreeSet<Uuid> {
    let mut baskets = Baskets::new(SHOP.products, SHOP.customers, first as u64);
    let calls = (0..orders).map(|number| (number + first, baskets.next_basket()));
    let names: Vec<String> = futures::stream::iter(calls)
        .take_until(stop.cancelled_owned())
        .map(|(number, basket)| {
            let (shop, placed) = (Arc::clone(&shop), Arc::clone(&placed));
            async move {
                let name = shop.place(number, basket).await.unwrap();
                placed.fetch_add(1, Ordering::Relaxed);
                name
            }
        })
        .buffer_unordered(SHOP.concurrency)
        .collect()
        .await;
    names.iter().map(|name| name.trim_start_matches("orders/").parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_databases_come_back_as_they_were_at_a_point_and_the_fleet_goes_on_from_there() {
    let own = Own::new("backup");
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().to_str().unwrap();
    assert!(own.run(&["up"]).await.success);
    let mut ground = Ground::open(own).await;

    // The backup is taken while orders come in.
    let (stop, placed) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let shopping = tokio::spawn(ground.order_until(&stop, &placed));
    ground.run(&["backup", folder]).await;
    assert!(placed.load(Ordering::Relaxed) > 0, "no order was placed during the backup");
    let deadline = Instant::now() + END_PATIENCE;
    while placed.load(Ordering::Relaxed) <= 20 {
        assert!(Instant::now() < deadline, "only {placed:?} orders are placed");
        sleep(PAUSE).await;
    }
    stop.cancel();
    let mut before = shopping.await.unwrap();
    ground.refused(&["restore", folder], "the fleet is up").await;

    // Nobody has told the customers of these yet when the point comes: their events wait at the broker alone.
    ground.run(&["stop", "notification"]).await;
    before.extend(ground.order(40).await);
    ground.until_published().await;
    let clock = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let early: String = ground.databases().await.rows("orders", clock).await.unwrap()[0].get(0);

    // An attempt to mark the point that failed after PostgreSQL had done its part.
    ground.sql("SELECT pg_create_restore_point('here')").await;

    // These are under way at the point.
    let late = ground.order(30).await;
    ground.run(&["backup", folder, "--mark", "here"]).await;

    let list = ground.own.run(&["backup", folder, "--list"]).await;
    let said = |text: &str| list.stdout.lines().filter(|line| line.contains(text)).count();
    assert_eq!((said("restore point here at 20"), said("WAL: ")), (1, 1), "{list:?}");

    // What happens now is not to have happened; the broker's consumers get ahead of what will be the databases.
    ground.sql("SELECT pg_switch_wal()").await;
    let lost = ground.order(30).await;
    ground.sql("SELECT pg_switch_wal()").await;
    ground.run(&["start", "notification"]).await;
    ground.assert_sound().await;
    ground.lose_everything().await;

    // With a gap in the archive there is no way to its end.
    let gap = last_closed(&room.path().join("wal"));
    let away = room.path().join("away");
    std::fs::rename(&gap, &away).unwrap();
    ground.refused(&["restore", folder, "--yes"], "although the archive goes on").await;
    std::fs::rename(&away, &gap).unwrap();

    ground.refused(&["restore", folder, "--to-name", "nowhere"], "use one of here").await;
    ground.refused(&["restore", folder, "--to-name", "here"], "--to-name here --yes`").await;
    ground.run(&["restore", folder, "--to-name", "here", "--yes"]).await;
    ground.run(&["up"]).await;
    let restored: BTreeSet<Uuid> = before.union(&late).copied().collect();
    assert_eq!(ground.orders().await, restored);
    assert_eq!(restored.intersection(&lost).count(), 0);
    let again = ground.order(30).await;
    ground.assert_sound().await;
    assert_eq!(ground.orders().await, restored.union(&again).copied().collect());
    // The history that ended with the restore is in that folder; the new one goes to another.
    ground.refused(&["backup", folder], "choose a new folder").await;
    assert_stops_archiving(&ground, folder).await;

    // It was the wrong point: the same backup leads to an earlier one.
    ground.run(&["down"]).await;
    ground.run(&["restore", folder, "--to", &early, "--yes"]).await;
    assert_put_aside(&ground);
    ground.run(&["up"]).await;
    assert_eq!(ground.orders().await, before);
    ground.order(10).await;
    ground.assert_sound().await;

    // Without its WAL a backup leads nowhere but to its own end, and what is there stays.
    ground.run(&["down"]).await;
    empty(&room.path().join("wal"));
    ground.refused(&["restore", folder, "--to", &early, "--yes"], "only the end of the backup").await;
    ground.run(&["up"]).await;
    assert_eq!(ground.orders().await.len(), before.len() + 10);
}

/// The cluster before a restore is kept.
fn assert_put_aside(ground: &Ground) {
    let layout = Layout::open(ground.own.0.servers()).unwrap();
    let data = layout.data(&ground.own.0.server_name("postgres")).unwrap();
    let aside: Vec<_> = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("cluster.before-"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].path().join("PG_VERSION").exists());
}

/// A slot that a stop left behind goes with the next one.
async fn assert_stops_archiving(ground: &Ground, folder: &str) {
    ground.sql("SELECT pg_create_physical_replication_slot('flotilla_archive', true)").await;
    ground.run(&["backup", folder, "--stop"]).await;
    let left = ground.databases().await.number("orders", "SELECT count(*) FROM pg_replication_slots").await.unwrap();
    assert_eq!(left, 0);
    let again = ground.own.run(&["backup", folder, "--stop"]).await;
    assert!(again.success && again.stdout.trim() == "WAL isn't archived", "{again:?}");
}

/// The newest segment of WAL that is written to no longer.
fn last_closed(wal: &Path) -> PathBuf {
    let segments = std::fs::read_dir(wal).unwrap().map(|entry| entry.unwrap().path());
    segments.filter(|path| path.extension().is_none()).max().unwrap()
}

fn empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
}
