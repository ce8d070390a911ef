//! Transactions that stand in each other's way.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flotilla_postgres::{Error, Pool, PostgresSettings, TransactionError, retry};
use tokio::sync::Barrier;

use crate::support::{Database, PID};

const ADD: &str = "UPDATE numbers SET value = value + 1 WHERE id = $1";
const DEADLINE: Duration = Duration::from_secs(120);

async fn values(pool: &Pool) -> Vec<i32> {
    let rows = pool.query("SELECT value FROM numbers ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

#[tokio::test]
async fn a_deadlock_is_repeated_until_both_are_through() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    pool.query("INSERT INTO numbers VALUES (1, 0), (2, 0)", &[]).await.unwrap();
    let (barrier, attempts) = (Barrier::new(2), AtomicU32::new(0));
    let add_both = |first: i32, second: i32| {
        let (pool, barrier, attempts) = (&pool, &barrier, &attempts);
        retry(DEADLINE, move || async move {
            let tx = pool.begin().await?;
            tx.execute(ADD, &[&first]).await?;
            // Both hold their first row before either asks for its second.
            if attempts.fetch_add(1, Ordering::Relaxed) < 2 {
                barrier.wait().await;
            }
            tx.execute(ADD, &[&second]).await?;
            tx.commit().await
        })
    };
    let (one, other) = tokio::join!(add_both(1, 2), add_both(2, 1));
    one.unwrap();
    other.unwrap();
    assert_eq!(values(&pool).await, [2, 2]);
    assert!(attempts.load(Ordering::Relaxed) >= 3, "one was the victim");
}

#[tokio::test]
async fn a_serialization_failure_is_repeated() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    pool.query("INSERT INTO numbers VALUES (1, 0)", &[]).await.unwrap();
    let add = || async {
        let tx = pool.begin().await?;
        tx.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        tx.query("SELECT value FROM numbers", &[]).await?;
        tx.execute(ADD, &[&1]).await?;
        tx.commit().await
    };
    let all = (0..4).map(|_| retry(DEADLINE, add));
    let results: Vec<Result<(), Error>> = futures::future::join_all(all).await;
    for result in results {
        result.unwrap();
    }
    assert_eq!(values(&pool).await, [4]);
}

#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the number is taken")]
    Taken,
    #[error(transparent)]
    Database(#[from] Error),
}

impl TransactionError for Ended {
    fn database(&self) -> Option<&Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

#[tokio::test]
async fn a_refusal_rolls_back_and_is_not_repeated() {
    let database = Database::with_numbers().await;
    let settings = PostgresSettings { pool_size: 1, ..database.settings() };
    let pool = database.pool("system", &database.urls.system, &settings);
    let pid = async || pool.query(PID, &[]).await.unwrap()[0].get::<i32>(0).unwrap();
    let (before, attempts) = (pid().await, AtomicU32::new(0));
    let refused: Result<(), Ended> = retry(DEADLINE, || async {
        attempts.fetch_add(1, Ordering::Relaxed);
        let tx = pool.begin().await?;
        tx.execute("INSERT INTO numbers VALUES (1, 0)", &[]).await?;
        tx.rollback_with(Ended::Taken).await
    })
    .await;
    assert!(matches!(refused, Err(Ended::Taken)), "{refused:?}");
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
    assert!(values(&pool).await.is_empty());
    assert_eq!(pid().await, before, "the connection is kept");
}

#[tokio::test]
async fn a_conflict_is_repeated_and_then_the_refusal_stands() {
    let database = Database::with_numbers().await;
    let pool = database.system();
    pool.query("INSERT INTO numbers VALUES (1, 0)", &[]).await.unwrap();
    let attempts = AtomicU32::new(0);
    let refused: Result<(), Ended> = retry(DEADLINE, || async {
        let tx = pool.begin().await?;
        tx.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        let first = tx.query_one("SELECT value FROM numbers", &[]).await?.get::<i32>(0)? == 0;
        if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            pool.query(ADD, &[&1]).await?;
        }
        tx.execute(ADD, &[&1]).await?;
        if first { Ok(tx.commit().await?) } else { tx.rollback_with(Ended::Taken).await }
    })
    .await;
    assert!(matches!(refused, Err(Ended::Taken)), "{refused:?}");
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    assert_eq!(values(&pool).await, [1], "only what the other transaction committed");
}
