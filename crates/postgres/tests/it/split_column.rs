//! A column of a live table is split in two, by expand, backfill, switch and contract, while programs of both releases
//! read and write it: no statement fails, and no write is lost. docs/migrations.md explains the steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use flotilla_postgres::refinery::{Migration, Runner};
use flotilla_postgres::{Error, MigrationLimits, Pool, check_schema, migrate};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{Database, eventually};

const MIGRATIONS: [(&str, &str); 4] = [
    ("V1__people", include_str!("split_column/V1__people.sql")),
    ("V2__expand", include_str!("split_column/V2__expand.sql")),
    ("V3__backfill", include_str!("split_column/V3__backfill.sql")),
    ("V4__contract", include_str!("split_column/V4__contract.sql")),
];
/// Rows from before the change: several hundred pages.
const OLD_ROWS: i64 = 50_000;
const FILL: &str = "INSERT INTO people (id, name)
    SELECT id, CASE id % 3 WHEN 0 THEN 'Plato' ELSE 'Ada Lovelace of ' || id END FROM generate_series(1, $1::bigint) AS id";
/// Rows whose parts don't make their name.
const OUT_OF_STEP: &str =
    "SELECT id FROM people WHERE (btrim(given_name || ' ' || family_name) = name) IS NOT TRUE LIMIT 5";

/// The migrations that a release has.
fn known(count: usize) -> Vec<(&'static str, Runner)> {
    let all: Vec<Migration> =
        MIGRATIONS[..count].iter().map(|(name, sql)| Migration::unapplied(name, sql).unwrap()).collect();
    vec![("history", Runner::new(&all))]
}

/// Which column a release writes and reads.
#[derive(Clone, Copy, Debug)]
enum Release {
    /// Knows `name` alone.
    N,
    /// Knows `given_name` and `family_name` alone.
    Next,
}

impl Release {
    async fn insert(self, pool: &Pool, id: i64, given: &str, family: &str) -> Result<(), Error> {
        match self {
            Self::N => {
                let name = format!("{given} {family}");
                pool.query("INSERT INTO people (id, name) VALUES ($1, $2)", &[&id, &name]).await?;
            }
            Self::Next => {
                let sql = "INSERT INTO people (id, given_name, family_name) VALUES ($1, $2, $3)";
                pool.query(sql, &[&id, &given, &family]).await?;
            }
        }
        Ok(())
    }

    async fn rename(self, pool: &Pool, id: i64, given: &str, family: &str) -> Result<(), Error> {
        match self {
            Self::N => {
                let name = format!("{given} {family}");
                pool.query("UPDATE people SET name = $2 WHERE id = $1", &[&id, &name]).await?;
            }
            Self::Next => {
                let sql = "UPDATE people SET given_name = $2, family_name = $3 WHERE id = $1";
                pool.query(sql, &[&id, &given, &family]).await?;
            }
        }
        Ok(())
    }

    async fn read(self, pool: &Pool, id: i64) -> Result<String, Error> {
        let sql = match self {
            Self::N => "SELECT name FROM people WHERE id = $1",
            Self::Next => "SELECT btrim(given_name || ' ' || family_name) AS name FROM people WHERE id = $1",
        };
        pool.query(sql, &[&id]).await?[0].get("name")
    }
}

/// A program of one release, which writes rows of its own and those of before, and reads what it has written.
struct Program {
    release: Release,
    rounds: Arc<AtomicU64>,
    stop: CancellationToken,
    /// Ends with the time of the slowest round.
    task: JoinHandle<Duration>,
}

impl Program {
    fn start(release: Release, pool: &Pool, ids: &Arc<AtomicI64>) -> Self {
        let (rounds, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let load = load(release, pool.clone(), ids.clone(), rounds.clone(), stop.clone());
        Self { release, rounds, stop, task: tokio::spawn(load) }
    }

    /// Waits until the program has done this many more rounds.
    async fn goes_on(&self, rounds: u64) {
        let until = self.rounds.load(Ordering::Relaxed) + rounds;
        eventually("the program goes on", || async {
            assert!(!self.task.is_finished(), "a statement of the program failed");
            self.rounds.load(Ordering::Relaxed) >= until
        })
        .await;
    }

    async fn stops(self) {
        self.stop.cancel();
        let slowest = self.task.await.unwrap();
        println!("{:?}: {} rounds, the slowest in {slowest:?}", self.release, self.rounds.load(Ordering::Relaxed));
    }

    /// Whether its release may start on the schema.
    async fn suits(&self, database: &Database) -> bool {
        let count = match self.release {
            Release::N => 1,
            Release::Next => 3,
        };
        match check_schema(&database.urls.system, &known(count)).await {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_unfit_schema(), "{error}");
                false
            }
        }
    }
}

async fn load(
    release: Release,
    pool: Pool,
    ids: Arc<AtomicI64>,
    rounds: Arc<AtomicU64>,
    stop: CancellationToken,
) -> Duration {
    let mut slowest = Duration::ZERO;
    while !stop.is_cancelled() {
        let (round, started) = (rounds.load(Ordering::Relaxed), Instant::now());
        let id = ids.fetch_add(1, Ordering::Relaxed);
        let family = format!("Hopper {id}");
        release.insert(&pool, id, "Grace", &family).await.unwrap();
        assert_eq!(release.read(&pool, id).await.unwrap(), format!("Grace {family}"));
        release.rename(&pool, id, "Rear Admiral", &family).await.unwrap();
        assert_eq!(release.read(&pool, id).await.unwrap(), format!("Rear Admiral {family}"));
        // A row of before, from the end of the table, which the backfill reaches last.
        let old = OLD_ROWS - i64::try_from(round).unwrap() % OLD_ROWS;
        pool.query("UPDATE people SET visits = visits + 1 WHERE id = $1", &[&old]).await.unwrap();
        assert!(!release.read(&pool, old).await.unwrap().is_empty());
        slowest = slowest.max(started.elapsed());
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    slowest
}

async fn apply(database: &Database, count: usize) -> Vec<String> {
    migrate(&database.urls.owner, known(count), MigrationLimits::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_is_split_in_two_under_load_without_a_failed_statement_or_a_lost_write() {
    let database = Database::fresh().await;
    let pool = database.pool("owner", &database.urls.owner, &database.settings());
    let ids = Arc::new(AtomicI64::new(OLD_ROWS + 1));
    apply(&database, 1).await;
    pool.query(FILL, &[&OLD_ROWS]).await.unwrap();
    let old = Program::start(Release::N, &pool, &ids);
    old.goes_on(20).await;

    // Expand and backfill, beside the release that knows nothing of it.
    let started = Instant::now();
    assert_eq!(apply(&database, 3).await, ["history/V2__expand", "history/V3__backfill"]);
    let took = started.elapsed();
    assert!(old.suits(&database).await);
    let filled = pool.query("SELECT rows_changed, pages, next_page FROM schema_backfills", &[]).await.unwrap();
    let [rows, pages, next] = ["rows_changed", "pages", "next_page"].map(|name| filled[0].get::<i64>(name).unwrap());
    println!("expand and backfill: {rows} rows, {pages} pages, {took:?}");
    assert!(rows > OLD_ROWS / 2 && pages > 100 && next == pages, "{rows} rows, {next} of {pages} pages");

    // The next release beside it, then without it.
    let new = Program::start(Release::Next, &pool, &ids);
    assert!(new.suits(&database).await);
    old.goes_on(50).await;
    new.goes_on(50).await;
    assert!(pool.query(OUT_OF_STEP, &[]).await.unwrap().is_empty());
    assert!(old.suits(&database).await);
    old.stops().await;

    // Contract, under load of the next release.
    assert_eq!(apply(&database, 4).await, ["history/V4__contract"]);
    assert!(new.suits(&database).await);
    new.goes_on(50).await;
    new.stops().await;
    let error = check_schema(&database.urls.system, &known(1)).await.unwrap_err();
    assert!(error.is_unfit_schema() && error.to_string().contains("V4 isn't declared compatible"), "{error}");

    // Every row has the name that was last written to it.
    let wrong = pool
        .query(
            "SELECT id FROM people WHERE btrim(given_name || ' ' || family_name) <> CASE
                WHEN id > $1 THEN 'Rear Admiral Hopper ' || id
                WHEN id % 3 = 0 THEN 'Plato' ELSE 'Ada Lovelace of ' || id END",
            &[&OLD_ROWS],
        )
        .await
        .unwrap();
    assert!(wrong.is_empty(), "{} names are wrong", wrong.len());
}
