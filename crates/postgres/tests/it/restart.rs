//! A server that goes and comes back.

use std::time::Duration;

use flotilla_postgres::{PostgresSettings, bootstrap, retry};

use crate::support::{Database, eventually, server};

const COUNT: &str = "SELECT count(*) FROM numbers";

#[tokio::test]
async fn a_pool_recovers_from_a_restart_of_the_server() {
    let mut server = server("restart").await;
    let urls = bootstrap(&server.url("postgres"), "tested", "tested_restart").await.unwrap();
    let database = Database { name: "tested_restart".to_owned(), urls };
    database.run("CREATE TABLE numbers (id int PRIMARY KEY, value int); GRANT ALL ON numbers TO tested_system").await;
    let settings = PostgresSettings { acquire_timeout: Duration::from_millis(500).into(), ..database.settings() };
    let pool = database.pool("system", &database.urls.system, &settings);
    let tx = pool.begin().await.unwrap();
    tx.execute("INSERT INTO numbers VALUES (1, 1)", &[]).await.unwrap();
    pool.query(COUNT, &[]).await.unwrap();

    server.stop().await.unwrap();
    let error = tx.execute("INSERT INTO numbers VALUES (2, 2)", &[]).await.unwrap_err();
    assert!(error.may_retry(), "{error:?}");
    drop(tx);
    eventually("the loss is noticed", || async { pool.ping().await.is_err() }).await;
    let error = pool.query(COUNT, &[]).await.unwrap_err();
    assert!(error.may_retry(), "{error:?}");

    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { retry(Duration::from_secs(30), || pool.query(COUNT, &[])).await }
    });
    server.restart().await.unwrap();
    let rows = waiting.await.unwrap().unwrap();
    assert_eq!(rows[0].get::<i64>(0).unwrap(), 0, "the open transaction is gone");
    server.kill().await;
    server.wipe_data().unwrap();
}
