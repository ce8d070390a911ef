//! Backfills: batches beside writers, interrupted ones, and the locks of rows.

use std::time::Duration;

use flotilla_postgres::refinery::{Migration, Runner};
use flotilla_postgres::{Error, MigrationLimits, migrate};

use crate::support::{Database, eventually};

const ROWS: i64 = 20_000;
const TABLE: &str = "CREATE TABLE a (id bigint PRIMARY KEY, x integer NOT NULL, y integer)";
const FILL: &str = "INSERT INTO a SELECT id, 1 FROM generate_series(1, $1::bigint) AS id";
/// Fails for a row whose `x` is zero.
const CHANGE: &str =
    "-- in batches: a\nUPDATE a SET y = 10 / x\nWHERE y IS NULL;\nALTER TABLE a ALTER COLUMN y SET NOT NULL";

fn known(count: usize) -> Vec<(&'static str, Runner)> {
    let all = [("V1__table", TABLE), ("V2__change", CHANGE)];
    let all: Vec<Migration> = all[..count].iter().map(|(name, sql)| Migration::unapplied(name, sql).unwrap()).collect();
    vec![("history", Runner::new(&all))]
}

async fn apply(database: &Database, count: usize, lock: Duration) -> Result<Vec<String>, Error> {
    let limits = MigrationLimits { lock, ..MigrationLimits::default() };
    migrate(&database.urls.owner, known(count), limits).await
}

const LOCK: Duration = Duration::from_secs(2);
/// Notes each step of the progress.
const NOTE: &str = "CREATE TABLE noted (next_page bigint);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO noted VALUES (NEW.next_page); RETURN NULL; END';
    CREATE TRIGGER note AFTER UPDATE OF next_page ON schema_backfills FOR EACH ROW EXECUTE FUNCTION note()";
const PROGRESS: &str = "SELECT pages, next_page, rows_changed FROM schema_backfills";

/// Pages, next page and changed rows, as the service's role sees them.
async fn progress(database: &Database) -> [i64; 3] {
    let rows = database.system().query(PROGRESS, &[]).await.unwrap();
    ["pages", "next_page", "rows_changed"].map(|name| rows[0].get(name).unwrap())
}

#[tokio::test]
async fn rows_are_changed_in_several_transactions() {
    let database = Database::fresh().await;
    let owner = database.pool("owner", &database.urls.owner, &database.settings());
    apply(&database, 1, LOCK).await.unwrap();
    owner.query(FILL, &[&ROWS]).await.unwrap();
    assert_eq!(apply(&database, 2, LOCK).await.unwrap(), ["history/V2__change"]);
    let found = owner.query("SELECT count(DISTINCT xmin::text) AS n FROM a WHERE y = 10", &[]).await.unwrap();
    let transactions: i64 = found[0].get("n").unwrap();
    assert!(transactions >= 3, "{transactions} transactions");
    let [pages, next, rows] = progress(&database).await;
    assert!(pages > 50 && next == pages && rows == ROWS, "{rows} rows, {next} of {pages} pages");
}

#[tokio::test]
async fn a_database_that_is_set_up_needs_no_batches() {
    let database = Database::fresh().await;
    assert_eq!(apply(&database, 2, LOCK).await.unwrap().len(), 2);
    assert!(database.system().query(PROGRESS, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_interrupted_backfill_goes_on_where_it_was() {
    let database = Database::fresh().await;
    let owner = database.pool("owner", &database.urls.owner, &database.settings());
    apply(&database, 1, LOCK).await.unwrap();
    owner.query(FILL, &[&ROWS]).await.unwrap();
    // The last row can't be changed.
    owner.query("UPDATE a SET x = 0 WHERE id = $1", &[&ROWS]).await.unwrap();
    let error = apply(&database, 2, LOCK).await.unwrap_err();
    assert_eq!(error.sql_state(), Some("22012"), "{error}");
    let [pages, next, rows] = progress(&database).await;
    assert!(0 < next && next < pages && 0 < rows && rows < ROWS, "{rows} rows, {next} of {pages} pages");
    let changed = owner.query("SELECT count(*) AS n FROM a WHERE y = 10", &[]).await.unwrap();
    assert_eq!(changed[0].get::<i64>("n").unwrap(), rows, "what was done stays done");

    owner.query("UPDATE a SET x = 1 WHERE x = 0", &[]).await.unwrap();
    database.run(NOTE).await;
    apply(&database, 2, LOCK).await.unwrap();
    let noted = owner.query("SELECT min(next_page) AS first FROM noted", &[]).await.unwrap();
    assert!(noted[0].get::<i64>("first").unwrap() > next, "it began before page {next}");
    let [pages, next, rows] = progress(&database).await;
    assert!(next == pages && rows == ROWS, "{rows} rows, {next} of {pages} pages");
}

#[tokio::test]
async fn a_batch_waits_for_a_rows_lock_in_short_tries() {
    let database = Database::fresh().await;
    let owner = database.pool("owner", &database.urls.owner, &database.settings());
    apply(&database, 1, LOCK).await.unwrap();
    owner.query(FILL, &[&ROWS]).await.unwrap();
    let writer = owner.begin().await.unwrap();
    writer.query("UPDATE a SET x = 2 WHERE id = $1", &[&ROWS]).await.unwrap();
    let url = database.urls.owner.clone();
    let limits = MigrationLimits { lock: Duration::from_millis(50), ..MigrationLimits::default() };
    let migrating = tokio::spawn(async move { migrate(&url, known(2), limits).await });
    let waiting = "SELECT FROM pg_stat_activity WHERE application_name = 'flotilla-migrate'
        AND datname = current_database() AND wait_event_type = 'Lock'";
    let pausing = "SELECT FROM pg_stat_activity WHERE application_name = 'flotilla-migrate'
        AND datname = current_database() AND state = 'idle' AND query LIKE 'WITH changed%'";
    eventually("a batch waits", || async { !owner.query(waiting, &[]).await.unwrap().is_empty() }).await;
    eventually("it has given up", || async { !owner.query(pausing, &[]).await.unwrap().is_empty() }).await;
    assert!(!migrating.is_finished());
    writer.commit().await.unwrap();
    migrating.await.unwrap().unwrap();
    let row = owner.query("SELECT y FROM a WHERE id = $1", &[&ROWS]).await.unwrap().remove(0);
    assert_eq!(row.get::<i32>("y").unwrap(), 5, "it saw what the writer committed");
}
