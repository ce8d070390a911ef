//! How transactions end, and what becomes of their connections.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_postgres::{ErrorKind, Pool, PostgresSettings};

use crate::support::{Database, PID, eventually, numbers};

const INSERT: &str = "INSERT INTO numbers VALUES ($1, 0)";

async fn one_connection(database: &Database) -> Pool {
    let settings = PostgresSettings { pool_size: 1, ..database.settings() };
    database.pool("system", &database.urls.system, &settings)
}

async fn pid(pool: &Pool) -> i32 {
    pool.query(PID, &[]).await.unwrap()[0].get(0).unwrap()
}

#[tokio::test]
async fn a_committed_transaction_keeps_its_connection_in_the_pool() {
    let database = Database::with_numbers().await;
    let pool = one_connection(&database).await;
    let before = pid(&pool).await;
    let tx = pool.begin().await.unwrap();
    assert_eq!(tx.execute(INSERT, &[&1]).await.unwrap(), 1);
    assert!(tx.query_opt("SELECT FROM numbers WHERE id = 7", &[]).await.unwrap().is_none());
    assert_eq!(tx.query_one("SELECT count(*) FROM numbers", &[]).await.unwrap().get::<i64>(0).unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(numbers(&pool).await, [1]);
    assert_eq!(pid(&pool).await, before);
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_and_its_connection_closed() {
    let database = Database::with_numbers().await;
    let pool = one_connection(&database).await;
    let before = pid(&pool).await;
    let tx = pool.begin().await.unwrap();
    tx.execute(INSERT, &[&1]).await.unwrap();
    drop(tx);
    assert_ne!(pid(&pool).await, before);
    assert!(numbers(&pool).await.is_empty());
    eventually("the server ends the old session", || async {
        pool.query("SELECT FROM pg_stat_activity WHERE pid = $1", &[&before]).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_transaction_left_idle_is_ended_after_one_statement_timeout() {
    let database = Database::with_numbers().await;
    let settings = PostgresSettings { statement_timeout: HumanDuration::from_millis(500), ..database.settings() };
    let pool = database.pool("system", &database.urls.system, &settings);
    let tx = pool.begin().await.unwrap();
    const LIMITS: &str =
        "SELECT current_setting('idle_in_transaction_session_timeout'), current_setting('statement_timeout')";
    let limits = tx.query_one(LIMITS, &[]).await.unwrap();
    assert_eq!(limits.get::<String>(0).unwrap(), limits.get::<String>(1).unwrap());
    tx.execute(INSERT, &[&1]).await.unwrap();
    let session: i32 = tx.query_one(PID, &[]).await.unwrap().get(0).unwrap();
    eventually("the server ends the idle session", || async {
        pool.query("SELECT FROM pg_stat_activity WHERE pid = $1", &[&session]).await.unwrap().is_empty()
    })
    .await;
    tx.commit().await.unwrap_err();
    assert!(numbers(&pool).await.is_empty());
}

#[tokio::test]
async fn a_rolled_back_transaction_keeps_its_connection_in_the_pool() {
    let database = Database::with_numbers().await;
    let pool = one_connection(&database).await;
    let before = pid(&pool).await;
    let tx = pool.begin().await.unwrap();
    tx.execute(INSERT, &[&1]).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(numbers(&pool).await.is_empty());
    assert_eq!(pid(&pool).await, before);
}

#[tokio::test]
async fn committing_an_aborted_transaction_is_an_error() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    let tx = pool.begin().await.unwrap();
    tx.execute(INSERT, &[&1]).await.unwrap();
    tx.execute(INSERT, &[&1]).await.unwrap_err();
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.sql_state(), Some("25P02"));
    assert!(!error.outcome_unknown());
    assert!(numbers(&pool).await.is_empty());
}

#[tokio::test]
async fn a_savepoint_saves_the_rest_of_a_transaction() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    let tx = pool.begin().await.unwrap();
    tx.execute(INSERT, &[&1]).await.unwrap();
    tx.batch_execute("SAVEPOINT one").await.unwrap();
    tx.execute(INSERT, &[&1]).await.unwrap_err();
    tx.batch_execute("ROLLBACK TO one").await.unwrap();
    tx.execute(INSERT, &[&2]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(numbers(&pool).await, [1, 2]);
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_commit() {
    let database = Database::with_numbers().await;
    database.run("ALTER TABLE numbers ADD CONSTRAINT once UNIQUE (value) DEFERRABLE INITIALLY DEFERRED").await;
    let pool = database.system();
    let tx = pool.begin().await.unwrap();
    tx.execute("INSERT INTO numbers VALUES (1, 5), (2, 5)", &[]).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert_eq!((error.kind(), error.constraint()), (ErrorKind::Data, Some("once")));
    assert!(numbers(&pool).await.is_empty());
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_middle_leaves_no_dirty_connection() {
    let database = Database::with_numbers().await;
    let pool = one_connection(&database).await;
    let before = pid(&pool).await;
    let slow = pool.query("SELECT pg_sleep(3)", &[]);
    tokio::time::timeout(Duration::from_millis(100), slow).await.unwrap_err();
    assert_ne!(pid(&pool).await, before, "nobody waits behind a statement that nobody waits for");
}

#[tokio::test]
async fn an_old_connection_is_replaced() {
    let database = Database::with_numbers().await;
    let lifetime = Duration::from_millis(200);
    let settings = PostgresSettings { pool_size: 1, max_lifetime: lifetime.into(), ..database.settings() };
    let pool = database.pool("system", &database.urls.system, &settings);
    let before = pid(&pool).await;
    eventually("the connection is replaced", || async { pid(&pool).await != before }).await;
}

#[tokio::test]
async fn two_pools_share_a_registry() {
    let database = Database::with_numbers().await;
    let registry = prometheus::Registry::new();
    let settings = database.settings();
    let system = Pool::connect("system", &settings.system_url, &settings, &registry).unwrap();
    let _user = Pool::connect("user", &settings.user_url, &settings, &registry).unwrap();
    let _again = Pool::connect("user", &settings.user_url, &settings, &registry).unwrap();
    system.begin().await.unwrap().commit().await.unwrap();
    drop(system.begin().await.unwrap());
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "flotilla_postgres_pool_connections{pool=\"system\"} 0",
        "flotilla_postgres_pool_connections{pool=\"user\"} 0",
        "flotilla_postgres_pool_limit{pool=\"user\"} 4",
        "flotilla_postgres_transaction_seconds_count{end=\"commit\",pool=\"system\"} 1",
        "flotilla_postgres_transaction_seconds_count{end=\"dropped\",pool=\"system\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn transactions_and_their_statements_may_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    let uses = |pool: Pool| {
        let work = async move {
            let tx = pool.begin().await?;
            futures::try_join!(tx.query(PID, &[]), tx.execute(INSERT, &[&1]))?;
            let id = 3;
            tx.query_opt(INSERT, &[&id]).await?;
            tx.commit().await
        };
        crosses(&work);
    };
    let _ = uses;
}
