//! What errors mean.

use std::time::Duration;

use flotilla_config::SecretString;
use flotilla_postgres::{ErrorKind, PostgresSettings};
use tokio::time::Instant;

use crate::support::Database;

#[tokio::test]
async fn bad_data_is_told_from_bad_statements() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    pool.query("INSERT INTO numbers VALUES (1, 1)", &[]).await.unwrap();
    for (sql, kind, state, constraint) in [
        ("INSERT INTO numbers VALUES (1, 1)", ErrorKind::Data, "23505", Some("numbers_pkey")),
        ("INSERT INTO numbers VALUES (2, -1)", ErrorKind::Data, "23514", Some("numbers_value_check")),
        ("SELECT 1 / (id - 1) FROM numbers", ErrorKind::Data, "22012", None),
        ("SELECT nothing FROM numbers", ErrorKind::Other, "42703", None),
        ("DROP TABLE numbers", ErrorKind::Other, "42501", None),
    ] {
        let error = pool.query(sql, &[]).await.unwrap_err();
        assert_eq!((error.kind(), error.sql_state(), error.constraint()), (kind, Some(state), constraint), "{sql}");
        assert!(!error.may_retry());
    }
}

#[tokio::test]
async fn messages_quote_no_rows() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    let insert = "INSERT INTO numbers VALUES (424242, 1)";
    pool.query(insert, &[]).await.unwrap();
    let error = pool.query(insert, &[]).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("424242"), "{error:?}");
}

#[tokio::test]
async fn a_slow_statement_times_out() {
    let database = Database::with_numbers().await;
    let timeout = Duration::from_millis(100);
    let settings = PostgresSettings { statement_timeout: timeout.into(), ..database.settings() };
    let pool = database.pool("system", &database.urls.system, &settings);
    let began = Instant::now();
    let error = pool.query("SELECT pg_sleep(30)", &[]).await.unwrap_err();
    assert_eq!((error.kind(), error.sql_state()), (ErrorKind::Timeout, Some("57014")));
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn an_exhausted_pool_is_unavailable_after_the_acquire_timeout() {
    let database = Database::with_numbers().await;
    let settings =
        PostgresSettings { pool_size: 1, acquire_timeout: Duration::from_millis(100).into(), ..database.settings() };
    let pool = database.pool("system", &database.urls.system, &settings);
    let tx = pool.begin().await.unwrap();
    let error = pool.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    tx.rollback().await.unwrap();
    pool.ping().await.unwrap();
}

#[tokio::test]
async fn a_server_that_isnt_there_is_unavailable() {
    let database = Database::fresh().await;
    let nowhere = SecretString::from("postgres://nobody@127.0.0.1:1/nothing".to_owned());
    let pool = database.pool("system", &nowhere, &database.settings());
    let error = pool.query("SELECT 1", &[]).await.unwrap_err();
    assert!(error.may_retry(), "{error:?}");
    assert!(!error.outcome_unknown());
}

#[tokio::test]
async fn a_session_that_is_ended_by_the_server_is_unavailable() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    let tx = pool.begin().await.unwrap();
    let kill = "SELECT pg_terminate_backend(pg_backend_pid())";
    let error = tx.query(kill, &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.outcome_unknown());
    let error = pool.query(kill, &[]).await.unwrap_err();
    assert!(error.may_retry() && error.outcome_unknown(), "{error:?}");
    pool.ping().await.unwrap();
}

#[test]
fn an_address_that_cant_be_understood_is_not_quoted() {
    let settings = PostgresSettings::new("x".into(), "postgres://u:hunter2@h:port/d".into(), "y".into());
    let registry = prometheus::Registry::new();
    let error = flotilla_postgres::Pool::connect("system", &settings.system_url, &settings, &registry).unwrap_err();
    assert!(!format!("{error} {error:?} {settings:?}").contains("hunter2"));
}
