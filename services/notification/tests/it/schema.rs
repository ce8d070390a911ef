//! The schema that the migrations make.

use flotilla_notification::Notification;
use flotilla_service::Service as _;
use flotilla_testkit::{assert_schema, stack};

#[tokio::test]
async fn the_migrated_schema_is_the_committed_one() {
    let database = stack().await.database(Notification::NAME, Notification::migrations()).await;
    assert_schema(&database, env!("CARGO_MANIFEST_DIR")).await;
}
