//! What `fleet db top` shows of the running fleet's databases.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_postgres::{Client, NoTls};

use crate::{
    fleet::{Fleet, Outcome, fleet},
    lifecycle::Own,
};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// A table that is read in full, whose index nobody uses, and half of whose rows are dead; beside it two indexes that
/// must not be listed: one is used, one is unique.
const NEGLECTED: &str = "
    CREATE TABLE neglected (n integer, note text, used integer, single integer) WITH (autovacuum_enabled = off);
    INSERT INTO neglected SELECT n, 'a note of some length, so that a megabyte is soon full', n, n FROM generate_series(1, 40000) AS n;
    CREATE INDEX neglected_note ON neglected (note);
    CREATE INDEX neglected_used ON neglected (used);
    CREATE UNIQUE INDEX neglected_single ON neglected (single);
    ANALYZE neglected;
    DELETE FROM neglected WHERE n % 2 = 0;
    SET enable_seqscan = off; SET enable_bitmapscan = off;
    SELECT count(*) FROM neglected WHERE used = 7;
    RESET enable_seqscan; RESET enable_bitmapscan;
    ANALYZE neglected";
const READ_IN_FULL: &str = "SELECT sum(n) FROM neglected";
/// Reads of the whole table; they read far more rows than ten times what is left in it.
const READS: usize = 12;
const OFTEN: &str = "SELECT count(*) FROM generate_series(1, 100000) AS often";
const CALLS: usize = 30;
/// Seconds; no outbox is that old unless its relay is stopped.
const LAG: f64 = 2.0;

/// The report, of a command that succeeds.
async fn top(fleet: &Fleet) -> Value {
    let printed = fleet.command(&["db", "top", "--json", "--long", "10ms"]).await;
    assert!(printed.success, "{printed:?}");
    parsed(&printed)
}

fn parsed(printed: &Outcome) -> Value {
    serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {printed:?}"))
}

fn row<'a>(report: &'a Value, table: &str, column: &str, wanted: &str) -> Option<&'a Value> {
    report[table].as_array().unwrap().iter().find(|row| row[column] == wanted)
}

/// The report, once it holds what is wanted: PostgreSQL's counters and the relays follow with a delay.
async fn until(fleet: &Fleet, is_complete: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let report = top(fleet).await;
        if is_complete(&report) {
            return report;
        }
        assert!(Instant::now() < end, "not all is shown: {report:#}");
        sleep(PAUSE).await;
    }
}

/// A connection of a person who isn't one of the services.
async fn connect(fleet: &Fleet, database: &str, application: &str) -> (Client, JoinHandle<()>) {
    let mut config: tokio_postgres::Config = fleet.state.database_url(database).parse().unwrap();
    let (client, connection) = config.application_name(application).connect(NoTls).await.unwrap();
    (client, tokio::spawn(async move { connection.await.unwrap() }))
}

#[tokio::test]
async fn neglected_tables_and_frequent_statements_are_listed() {
    let fleet = fleet().await;
    let (client, connection) = connect(&fleet, "orders", "neglect").await;
    client.batch_execute(NEGLECTED).await.unwrap();
    for _ in 0..READS {
        client.batch_execute(READ_IN_FULL).await.unwrap();
    }
    let reset = fleet.command(&["db", "top", "--reset"]).await;
    assert!(reset.success && reset.stdout.contains("Statements by total time"), "{reset:?}");
    for _ in 0..CALLS {
        client.batch_execute(OFTEN).await.unwrap();
    }
    client.batch_execute("SELECT pg_stat_force_next_flush()").await.unwrap();

    let tables = ["unused_indexes", "scanned_tables", "bloat"];
    let report =
        until(&fleet, |report| tables.iter().all(|table| row(report, table, "table", "neglected").is_some())).await;
    let unused: Vec<_> = report["unused_indexes"].as_array().unwrap().iter().map(|index| &index["index"]).collect();
    assert!(unused.contains(&&Value::from("neglected_note")), "{unused:?}");
    for needed in ["neglected_used", "neglected_single"] {
        assert!(!unused.contains(&&Value::from(needed)), "{needed} is used or unique: {unused:?}");
    }
    let scanned = row(&report, "scanned_tables", "table", "neglected").unwrap();
    assert!(scanned["scans"].as_u64() >= u64::try_from(READS).ok() && scanned["rows"] == 20_000, "{scanned}");
    let bloat = row(&report, "bloat", "table", "neglected").unwrap();
    let (bytes, unneeded) = (bloat["bytes"].as_i64().unwrap(), bloat["unneeded_bytes"].as_i64().unwrap());
    assert!(unneeded * 10 > bytes * 4 && unneeded * 10 < bytes * 6, "about half of it is dead: {bloat}");
    assert!(bloat["dead_rows"] == 20_000 && bloat["vacuumed_seconds_ago"].is_null(), "{bloat}");

    let worst = &report["statements"]["worst"][0];
    assert!(worst["database"] == "orders" && worst["calls"] == CALLS, "{report:#}");
    assert!(worst["statement"].as_str().unwrap().contains("generate_series($1, $2) AS often"), "{worst}");
    assert!(worst["share"].as_f64() > Some(0.1) && worst["total_ms"].as_f64() > worst["mean_ms"].as_f64(), "{worst}");

    let all = parsed(&fleet.command(&["db", "top", "--json", "-n", "1000"]).await);
    let statements = all["statements"]["worst"].as_array().unwrap();
    let own = statements.iter().find(|one| one["statement"].as_str().unwrap().contains("pg_stat_user_"));
    assert!(statements.len() > 1 && own.is_none(), "its own statements aren't listed: {own:?}");
    let printed = fleet.command(&["db", "top", "-n", "1"]).await;
    for part in ["AS often", "neglected", "Outbox lag", "Long transactions: none is open for 5s or more"] {
        assert!(printed.stdout.contains(part), "{part} is missing:\n{}", printed.stdout);
    }
    assert!(printed.success, "{printed:?}");
    let bounded = parsed(&fleet.command(&["db", "top", "--json", "-n", "1"]).await);
    let lengths = tables.map(|table| bounded[table].as_array().unwrap().len());
    assert_eq!((lengths, bounded["statements"]["worst"].as_array().unwrap().len()), ([1; 3], 1), "{bounded:#}");
    client.batch_execute("DROP TABLE neglected").await.unwrap();
    drop(client);
    connection.await.unwrap();
    fleet.assert_sound().await;
}

#[tokio::test]
async fn an_open_transaction_and_the_outboxes_that_wait_for_it_are_listed() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(2_500, 10).await);
    let (client, connection) = connect(&fleet, "notification", "left-open").await;
    client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    customer.place_order(vec![(product, 1)], "waits-for-a-transaction").await.unwrap();

    let waits = |report: &Value| row(report, "outboxes", "database", "orders").unwrap()["seconds"].as_f64() > Some(LAG);
    let report = until(&fleet, waits).await;
    let open = row(&report, "transactions", "application", "left-open").unwrap();
    assert!(open["state"] == "idle in transaction" && open["writes"] == true, "{open}");
    assert!(open["database"] == "notification" && open["role"] == "postgres", "{open}");
    let outboxes = report["outboxes"].as_array().unwrap();
    assert_eq!(outboxes.len(), 5, "{outboxes:?}");
    let orders = row(&report, "outboxes", "database", "orders").unwrap();
    assert!(orders["pending"].as_u64() >= Some(1) && open["seconds"].as_f64() > Some(0.01), "{orders}, {open}");

    client.batch_execute("ROLLBACK").await.unwrap();
    drop(client);
    connection.await.unwrap();
    fleet.assert_sound().await;
    let report = until(&fleet, |report| !waits(report)).await;
    assert!(row(&report, "transactions", "application", "left-open").is_none(), "{report:#}");
}

#[tokio::test]
async fn a_locked_table_hides_only_what_needs_it() {
    let fleet = fleet().await;
    let (client, connection) = connect(&fleet, "payments", "locks").await;
    client.batch_execute("BEGIN; LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let began = Instant::now();
    let printed = fleet.command(&["db", "top", "--json"]).await;
    assert!(!printed.success, "a part is missing: {printed:?}");
    assert!(began.elapsed() < PATIENCE / 2, "it took {:?}", began.elapsed());
    let report = parsed(&printed);
    let problems: Vec<_> = report["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(problems.contains(&"payments, outbox: canceling statement due to lock timeout"), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.starts_with("payments, ")), "{problems:?}");
    assert_eq!(report["outboxes"].as_array().unwrap().len(), 4, "{report:#}");
    assert!(!report["statements"]["worst"].as_array().unwrap().is_empty(), "{report:#}");
    client.batch_execute("ROLLBACK").await.unwrap();
    drop(client);
    connection.await.unwrap();
    fleet.assert_sound().await;
}

#[tokio::test]
async fn without_a_fleet_or_with_a_wrong_bound_the_error_says_so() {
    let own = Own::new("no-database");
    for (arguments, wanted) in [
        (["db", "top", "--limit", "5"], "the fleet isn't up: run"),
        (["db", "top", "--limit", "0"], "0 is not in 1..=1000"),
        (["db", "top", "--long", "5"], "expected a duration such as 250ms, 5s, 2m or 1h30m"),
    ] {
        let refused = own.run(&arguments).await;
        assert!(!refused.success && refused.stderr.contains(wanted), "{refused:?}");
    }
}
