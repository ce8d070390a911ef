//! The schema that the migrations make.

use flotilla_payments::Payments;
use flotilla_service::Service as _;
use flotilla_testkit::{assert_schema, stack};

#[tokio::test]
async fn the_migrated_schema_is_the_committed_one() {
    let database = stack().await.database(Payments::NAME, Payments::migrations()).await;
    assert_schema(&database, env!("CARGO_MANIFEST_DIR")).await;
}
