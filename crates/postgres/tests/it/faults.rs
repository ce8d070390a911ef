//! Faults that are switched on for exercise, against a real server: they strike while they are on, and nothing stays.

use std::time::{Duration, Instant};

use flotilla_fault::{Fault, Faults, Injection};
use flotilla_postgres::{Pool, PostgresSettings};

use crate::support::{Database, numbers};

const DELAY: Duration = Duration::from_millis(400);
const SIZE: usize = 4;

/// A pool of a few connections whose callers don't wait long, and its switches.
async fn struck(database: &Database) -> (Pool, Faults) {
    let settings =
        PostgresSettings { pool_size: SIZE, acquire_timeout: Duration::from_millis(50).into(), ..database.settings() };
    let faults = Faults::allowed();
    (database.pool("system", &database.urls.system, &settings).with_faults(&faults), faults)
}

#[tokio::test]
async fn a_slow_database_makes_transactions_wait_and_changes_nothing_else() {
    let database = Database::with_numbers().await;
    let (pool, faults) = struck(&database).await;
    faults.turn_on(Fault::SlowDatabase, Injection { delay: DELAY, share: 50, ..Injection::default() }).unwrap();
    let mut slow = 0;
    for number in 0..4 {
        let began = Instant::now();
        let tx = pool.begin().await.unwrap();
        slow += usize::from(began.elapsed() >= DELAY);
        tx.execute("INSERT INTO numbers VALUES ($1, 0)", &[&number]).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(slow, 2, "half of them");
    faults.turn_off(Fault::SlowDatabase);
    assert_eq!(numbers(&pool).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_leaking_pool_loses_its_connections_and_has_them_all_again_afterwards() {
    let database = Database::with_numbers().await;
    let (pool, faults) = struck(&database).await;
    faults.turn_on(Fault::LeakingPool, Injection { share: 50, ..Injection::default() }).unwrap();
    for _ in 0..3 * SIZE {
        pool.ping().await.unwrap();
    }
    assert_eq!(faults.kept(Fault::LeakingPool), SIZE / 2, "half of the pool");

    faults.turn_on(Fault::LeakingPool, Injection::default()).unwrap();
    let mut answered = 0;
    while pool.ping().await.is_ok() {
        answered += 1;
        assert!(answered < SIZE, "a pool that has lost all its connections answers");
    }
    assert_eq!(faults.kept(Fault::LeakingPool), SIZE);

    faults.turn_off(Fault::LeakingPool);
    let mut open = Vec::new();
    for _ in 0..SIZE {
        open.push(pool.begin().await.unwrap());
    }
}
