//! The schema that every service's database has.

use std::panic::AssertUnwindSafe;

use flotilla_postgres::refinery::Runner;
use flotilla_service::migrations_with;
use flotilla_testkit::{SHARED, assert_schema, stack};
use futures::FutureExt as _;

#[tokio::test]
async fn the_shared_schema_is_the_committed_one() {
    let database = stack().await.database(SHARED, migrations_with(Runner::new(&[]))).await;
    assert_schema(&database, "").await;
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        return;
    }
    database.query("ALTER TABLE outbox ADD COLUMN note text", &[]).await;
    let panic = AssertUnwindSafe(assert_schema(&database, "")).catch_unwind().await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("isn't what the migrations make") && message.contains("note text"), "{message}");
}
