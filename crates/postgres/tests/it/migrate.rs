//! Migrations.

use std::time::Duration;

use flotilla_postgres::refinery::{Migration, Runner};
use flotilla_postgres::{ErrorKind, await_migrations, migrate, retry};

use crate::support::Database;

fn set(migrations: &[(&str, &str)]) -> Runner {
    let migrations: Vec<Migration> =
        migrations.iter().map(|(name, sql)| Migration::unapplied(name, sql).unwrap()).collect();
    Runner::new(&migrations)
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
    let error = wait(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("one_history/V1__first is missing"), "{error}");
    let waiting = tokio::spawn(wait(Duration::from_secs(60)));
    migrate(&database.urls.owner, both().into_iter().take(1).collect()).await.unwrap();
    let error = wait(Duration::from_millis(50)).await.unwrap_err();
    assert!(error.to_string().contains("other_history/V1__first is missing"), "{error}");
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
