//! What a call asks of the database ends with the call: at its deadline, or when its caller leaves.

use std::time::Duration;

use flotilla_call::{CallContext, Deadline};
use flotilla_config::HumanDuration;
use flotilla_postgres::{ErrorKind, Pool, PostgresSettings};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::{Database, eventually};

const SLEEP: &str = "SELECT pg_sleep(30)";
const LIMIT: &str = "SELECT current_setting('statement_timeout')";

/// A pool whose own limits are far away.
fn patient(database: &Database) -> Pool {
    let settings = PostgresSettings { statement_timeout: HumanDuration::from_secs(60), ..database.settings() };
    database.pool("user", &database.urls.user, &settings)
}

async fn within<F: Future>(left: Duration, call: F) -> F::Output {
    let context = CallContext { deadline: Some(Deadline::after(left)), ..CallContext::default() };
    context.scope(call).await
}

/// How many sessions of this database sleep.
async fn sleepers(database: &Database, watcher: &Pool) -> i64 {
    const COUNT: &str = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = $1 AND state = 'active' AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()";
    watcher.query(COUNT, &[&database.name]).await.unwrap()[0].get(0).unwrap()
}

async fn watcher(database: &Database) -> Pool {
    // Only a role of the same rights sees what others run.
    database.pool("user", &database.urls.user, &database.settings())
}

#[tokio::test]
async fn a_transaction_tells_the_server_what_is_left_of_the_calls_deadline() {
    let database = Database::with_numbers().await;
    let pool = patient(&database);
    let limit = async |user: Option<Uuid>| {
        let tx = match user {
            Some(user) => pool.begin_as(user).await.unwrap(),
            None => pool.begin().await.unwrap(),
        };
        let limit: String = tx.query_one(LIMIT, &[]).await.unwrap().get(0).unwrap();
        tx.commit().await.unwrap();
        limit
    };
    for user in [None, Some(Uuid::nil())] {
        assert_eq!(limit(user).await, "1min", "outside of a call the session's own");
        let left = within(Duration::from_millis(3500), limit(user)).await;
        let left: u32 = left.strip_suffix("ms").unwrap_or_else(|| panic!("{left}")).parse().unwrap();
        assert!((1..=3500).contains(&left), "{left}");
        assert_eq!(within(Duration::from_secs(600), limit(user)).await, "1min", "never more than the session's own");
        assert_eq!(limit(user).await, "1min", "the next one finds none of it");
    }
    let rows = within(Duration::from_millis(3500), pool.query_as(Uuid::nil(), LIMIT, &[])).await.unwrap();
    assert!(rows[0].get::<String>(0).unwrap().ends_with("ms"));
}

#[tokio::test]
async fn a_statement_ends_at_the_calls_deadline() {
    let database = Database::with_numbers().await;
    let (pool, watcher) = (patient(&database), watcher(&database).await);
    let began = Instant::now();
    let work = async {
        let tx = pool.begin_as(Uuid::nil()).await?;
        tx.query(SLEEP, &[]).await.map(drop)
    };
    let error = within(Duration::from_millis(400), work).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let error = within(Duration::from_millis(400), pool.query(SLEEP, &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    eventually("nothing sleeps on", async || sleepers(&database, &watcher).await == 0).await;
    let error = within(Duration::ZERO, pool.begin()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "a call that is over begins nothing");
}

#[tokio::test]
async fn a_statement_is_cancelled_when_its_caller_leaves() {
    let database = Database::with_numbers().await;
    let (pool, watcher) = (patient(&database), watcher(&database).await);
    let alone = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.query(SLEEP, &[]).await.map(drop) })
    };
    let inside = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.begin_as(Uuid::nil()).await?.query(SLEEP, &[]).await.map(drop) })
    };
    let piped = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.query_as(Uuid::nil(), SLEEP, &[]).await.map(drop) })
    };
    eventually("all three sleep", async || sleepers(&database, &watcher).await == 3).await;
    for task in [alone, inside, piped] {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    // Long before they would have woken by themselves.
    let began = Instant::now();
    eventually("the server has stopped working for them", async || sleepers(&database, &watcher).await == 0).await;
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert_eq!(pool.query("SELECT 1", &[]).await.unwrap().len(), 1);
}
