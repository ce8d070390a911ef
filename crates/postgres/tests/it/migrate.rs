//! Migrations.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use flotilla_config::SecretString;
use flotilla_postgres::refinery::{Migration, Runner};
use flotilla_postgres::{Error, ErrorKind, MigrationLimits, await_migrations, check_schema, retry};

use crate::support::{Database, eventually};

fn set(migrations: &[(&str, &str)]) -> Runner {
    let migrations: Vec<Migration> =
        migrations.iter().map(|(name, sql)| Migration::unapplied(name, sql).unwrap()).collect();
    Runner::new(&migrations)
}

async fn migrate(url: &SecretString, sets: Vec<(&'static str, Runner)>) -> Result<Vec<String>, Error> {
    flotilla_postgres::migrate(url, sets, MigrationLimits::default()).await
}

fn both() -> Vec<(&'static str, Runner)> {
    vec![
        ("one_history", set(&[("V1__first", "CREATE TABLE a (x int)"), ("V2__second", "CREATE TABLE b (x int)")])),
        ("other_history", set(&[("V1__first", "CREATE TABLE c (x int)")])),
    ]
}

#[tokio::test]
async fn each_set_is_applied_once() {
    let database = Database::fresh().await;
    let applied = migrate(&database.urls.owner, both()).await.unwrap();
    assert_eq!(applied, ["one_history/V1__first", "one_history/V2__second", "other_history/V1__first"]);
    assert!(migrate(&database.urls.owner, both()).await.unwrap().is_empty());
}

#[tokio::test]
async fn processes_that_start_together_take_turns() {
    let database = Database::fresh().await;
    let all = (0..6).map(|_| migrate(&database.urls.owner, both()));
    let applied: usize = futures::future::try_join_all(all).await.unwrap().iter().map(Vec::len).sum();
    assert_eq!(applied, 3);
}

#[tokio::test]
async fn a_program_that_was_rolled_back_leaves_a_newer_database_as_it_is() {
    let database = Database::fresh().await;
    let all = [("V1__first", "CREATE TABLE a (x int)"), ("V2__second", "CREATE TABLE b (x int)")];
    let first = |sql| vec![("history", set(&[("V1__first", sql)]))];
    migrate(&database.urls.owner, vec![("history", set(&all))]).await.unwrap();
    assert!(migrate(&database.urls.owner, first("CREATE TABLE a (x int)")).await.unwrap().is_empty());
    let differs = migrate(&database.urls.owner, first("CREATE TABLE a (y int)")).await.unwrap_err();
    assert!(differs.to_string().contains("V1__first"), "{differs}");
    let without_the_first = vec![("history", set(&all[1..]))];
    let error = migrate(&database.urls.owner, without_the_first).await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn who_awaits_migrations_goes_on_when_the_last_one_is_applied() {
    let database = Database::fresh().await;
    let wait = |patience| {
        let system = database.urls.system.clone();
        async move { await_migrations(&system, &both(), patience).await }
    };
    let wait = &wait;
    // A short wait can end before the server has answered.
    let missing = |migration: &'static str| {
        eventually("the wait ends and names what is missing", move || async move {
            let error = wait(Duration::from_millis(50)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            error.to_string().contains(&format!("{migration} is missing"))
        })
    };
    missing("one_history/V1__first").await;
    let waiting = tokio::spawn(wait(Duration::from_secs(60)));
    migrate(&database.urls.owner, both().into_iter().take(1).collect()).await.unwrap();
    missing("other_history/V1__first").await;
    migrate(&database.urls.owner, both()).await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_migration_that_fails_is_told_and_leaves_nothing() {
    let database = Database::fresh().await;
    let broken = || vec![("history", set(&[("V1__broken", "CREATE TABLE a (x int); CREATE TABLE a (x int)")]))];
    let error = migrate(&database.urls.owner, broken()).await.unwrap_err();
    assert_eq!((error.kind(), error.sql_state()), (ErrorKind::Other, Some("42P07")));
    assert!(error.to_string().contains("V1__broken") && error.to_string().contains("already exists"), "{error}");
    let mended = vec![("history", set(&[("V1__mended", "CREATE TABLE a (x int)")]))];
    assert_eq!(migrate(&database.urls.owner, mended).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_migration_finds_the_roles_that_it_grants_to() {
    let database = Database::fresh().await;
    let grant = "CREATE TABLE a (x int);
        DO $$ BEGIN
            EXECUTE format('GRANT SELECT ON a TO %I', current_setting('flotilla.service') || '_user');
        END $$";
    migrate(&database.urls.owner, vec![("history", set(&[("V1__grant", grant)]))]).await.unwrap();
    assert!(database.user().query("SELECT x FROM a", &[]).await.unwrap().is_empty());
    assert!(database.system().query("SELECT x FROM a", &[]).await.is_err());
}

#[tokio::test]
async fn a_statement_prepared_before_a_migration_is_prepared_anew() {
    let database = Database::with_numbers().await;
    let pool = database.user();
    let all = "SELECT * FROM numbers";
    pool.query(all, &[]).await.unwrap();
    database.run("ALTER TABLE numbers ADD COLUMN note text; INSERT INTO numbers VALUES (1, 1, 'new')").await;
    let rows = retry(Duration::from_secs(120), || pool.query(all, &[])).await.unwrap();
    assert_eq!(rows[0].get::<&str>("note").unwrap(), "new");
}

#[tokio::test]
async fn a_migrations_statement_is_stopped_at_its_limit_and_leaves_nothing() {
    let database = Database::fresh().await;
    let slow = vec![("history", set(&[("V1__slow", "CREATE TABLE a (x int); SELECT pg_sleep(100)")]))];
    let limits = MigrationLimits { statement: Duration::from_millis(100), ..MigrationLimits::default() };
    let error = flotilla_postgres::migrate(&database.urls.owner, slow, limits).await.unwrap_err();
    assert_eq!((error.kind(), error.sql_state()), (ErrorKind::Timeout, Some("57014")));
    assert_eq!(migrate(&database.urls.owner, both()).await.unwrap().len(), 3, "the table a isn't there");
}

#[tokio::test]
async fn a_migration_waits_for_a_lock_in_short_tries_and_goes_on_once_it_is_free() {
    let database = Database::fresh().await;
    let short = MigrationLimits { lock: Duration::from_millis(50), ..MigrationLimits::default() };
    let create = ("V1__create", "CREATE TABLE a (x int)");
    let change = ("V2__change", "CREATE TABLE b (x int); ALTER TABLE a ADD COLUMN y int");
    migrate(&database.urls.owner, vec![("history", set(&[create]))]).await.unwrap();
    let owner = database.pool("owner", &database.urls.owner, &database.settings());
    let reader = owner.begin().await.unwrap();
    reader.query("SELECT x FROM a", &[]).await.unwrap();
    let url = database.urls.owner.clone();
    let migrating = tokio::spawn(async move {
        flotilla_postgres::migrate(&url, vec![("history", set(&[create, change]))], short).await
    });
    let waiting = "SELECT query_start::text FROM pg_stat_activity
        WHERE application_name = 'flotilla-migrate' AND datname = current_database() AND wait_event_type = 'Lock'";
    let tries = Mutex::new(BTreeSet::new());
    eventually("the second try waits", || async {
        let rows = owner.query(waiting, &[]).await.unwrap();
        let mut tries = tries.lock().unwrap();
        tries.extend(rows.iter().map(|row| row.get::<String>(0).unwrap()));
        tries.len() == 2
    })
    .await;
    // Others aren't kept waiting by it.
    owner.query("SELECT x FROM a", &[]).await.unwrap();
    assert!(!migrating.is_finished());
    reader.commit().await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap(), ["history/V2__change"]);
}

#[tokio::test]
async fn a_migration_runs_with_the_usual_limits_also_after_a_concurrent_index() {
    let database = Database::fresh().await;
    let noted = "CREATE TABLE noted AS
        SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement";
    let all = [
        ("V1__first", "CREATE TABLE a (x int)"),
        ("V2__index", "-- concurrently\nCREATE INDEX IF NOT EXISTS a_x ON a (x);"),
        ("V3__noted", noted),
    ];
    for number in [1, 3] {
        migrate(&database.urls.owner, vec![("history", set(&all[..number]))]).await.unwrap();
    }
    let owner = database.pool("owner", &database.urls.owner, &database.settings());
    let row = owner.query("SELECT lock, statement FROM noted", &[]).await.unwrap().remove(0);
    assert_eq!((row.get::<&str>("lock").unwrap(), row.get::<&str>("statement").unwrap()), ("2s", "2min"));
}

/// The migrations of three releases; the second declares from which release on programs tolerate it.
fn release(number: usize, declaration: &str) -> Vec<(&'static str, Runner)> {
    let second = format!("{declaration}\nCREATE TABLE b (x int)");
    let all =
        [("V1__first", "CREATE TABLE a (x int)"), ("V2__second", &*second), ("V3__third", "CREATE TABLE c (x int)")];
    vec![("history", set(&all[..number]))]
}

#[tokio::test]
async fn a_program_refuses_a_schema_that_is_too_old() {
    let database = Database::fresh().await;
    let check = |number| {
        let system = database.urls.system.clone();
        async move { check_schema(&system, &release(number, "")).await }
    };
    let error = check(1).await.unwrap_err();
    assert!(error.is_unfit_schema() && error.to_string().contains("history/V1__first is missing"), "{error}");
    migrate(&database.urls.owner, release(1, "")).await.unwrap();
    check(1).await.unwrap();
    let error = check(2).await.unwrap_err();
    assert!(error.is_unfit_schema() && error.to_string().contains("history/V2__second is missing"), "{error}");
}

#[tokio::test]
async fn a_program_refuses_a_newer_schema_unless_that_was_declared_compatible() {
    for (declaration, tolerated) in [("", false), ("-- compatible-since: V2", false), ("-- compatible-since: V1", true)]
    {
        let database = Database::fresh().await;
        migrate(&database.urls.owner, release(2, declaration)).await.unwrap();
        // What the older program's own migrator does changes nothing.
        migrate(&database.urls.owner, release(1, declaration)).await.unwrap();
        let checked = check_schema(&database.urls.system, &release(1, declaration)).await;
        assert_eq!(checked.is_ok(), tolerated, "{declaration:?}: {checked:?}");
        if let Err(error) = checked {
            assert!(
                error.is_unfit_schema() && error.to_string().contains("history/V2 isn't declared compatible"),
                "{error}"
            );
        }
        check_schema(&database.urls.system, &release(2, declaration)).await.unwrap();
        // Each newer migration needs a declaration.
        migrate(&database.urls.owner, release(3, declaration)).await.unwrap();
        let error = check_schema(&database.urls.system, &release(1, declaration)).await.unwrap_err();
        assert!(error.is_unfit_schema(), "{error}");
    }
}

#[tokio::test]
async fn a_schema_that_cannot_be_read_is_not_refused() {
    let database = Database::fresh().await;
    migrate(&database.urls.owner, release(1, "")).await.unwrap();
    database.run("REVOKE SELECT ON history FROM tested_system").await;
    let error = check_schema(&database.urls.system, &release(1, "")).await.unwrap_err();
    assert!(!error.is_unfit_schema(), "{error}");
}

const INDEXES: &str =
    "-- concurrently\nCREATE INDEX IF NOT EXISTS a_x ON a (x);\nCREATE INDEX IF NOT EXISTS a_y ON a (y);";

fn with_indexes(number: usize) -> Vec<(&'static str, Runner)> {
    let all = [
        ("V1__first", "CREATE TABLE a (x int, y int)"),
        ("V2__indexes", INDEXES),
        ("V3__third", "CREATE TABLE c (x int)"),
    ];
    vec![("history", set(&all[..number]))]
}

const VALID: &str = "SELECT indexrelid::regclass::text FROM pg_index
    WHERE indrelid = 'a'::regclass AND indisvalid AND indisready ORDER BY indexrelid::regclass::text";

#[tokio::test]
async fn an_index_is_built_while_others_write_to_its_table() {
    let database = Database::fresh().await;
    let owner = database.pool("owner", &database.urls.owner, &database.settings());
    migrate(&database.urls.owner, with_indexes(1)).await.unwrap();
    let writer = owner.begin().await.unwrap();
    writer.query("INSERT INTO a VALUES (1, 1)", &[]).await.unwrap();
    let migrators = (0..3).map(|_| database.urls.owner.clone());
    let all = migrators.map(|url| async move { migrate(&url, with_indexes(3)).await });
    let migrating = tokio::spawn(futures::future::try_join_all(all.collect::<Vec<_>>()));
    let building =
        "SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND datname = current_database()
        AND wait_event_type = 'Lock'";
    eventually("the build waits for the writer", || async { !owner.query(building, &[]).await.unwrap().is_empty() })
        .await;
    // Another writer isn't blocked by the build.
    owner.query("INSERT INTO a VALUES (2, 2)", &[]).await.unwrap();
    writer.commit().await.unwrap();
    let applied = migrating.await.unwrap().unwrap().concat();
    assert_eq!(applied, ["history/V2__indexes", "history/V3__third"]);
    let built = owner.query(VALID, &[]).await.unwrap();
    assert_eq!(built.iter().map(|row| row.get::<&str>(0).unwrap()).collect::<Vec<_>>(), ["a_x", "a_y"]);
}

#[tokio::test]
async fn an_index_whose_build_failed_is_built_anew() {
    let database = Database::fresh().await;
    let owner = database.pool("owner", &database.urls.owner, &database.settings());
    migrate(&database.urls.owner, with_indexes(1)).await.unwrap();
    let writer = owner.begin().await.unwrap();
    writer.query("INSERT INTO a VALUES (1, 1)", &[]).await.unwrap();
    let limits = MigrationLimits { statement: Duration::from_millis(200), ..MigrationLimits::default() };
    let error = flotilla_postgres::migrate(&database.urls.owner, with_indexes(2), limits).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(owner.query(VALID, &[]).await.unwrap().is_empty());
    writer.commit().await.unwrap();
    migrate(&database.urls.owner, with_indexes(2)).await.unwrap();
    assert_eq!(owner.query(VALID, &[]).await.unwrap().len(), 2);
}
