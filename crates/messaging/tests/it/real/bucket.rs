//! Buckets of latest values on a real broker.

use std::time::Duration;

use flotilla_messaging::{Bucket, BucketEntry, BucketWatch, Messaging, OpenBucket};
use flotilla_postgres::Pool;
use flotilla_testkit::{Stack, eventually, stack};
use prometheus::Registry;
use tokio::time::timeout;

use super::{ORDERS, TIMEOUT, database, settings};

/// The bucket as one replica of a service has it.
pub(super) async fn replica(nats_url: &str) -> Bucket {
    let (database, registry) = (database("orders").await, Registry::new());
    let postgres = database.settings();
    let pool = Pool::connect("system", &postgres.system_url, &postgres, &registry).unwrap();
    let messaging = Messaging::new("orders", ORDERS, pool, &settings(nats_url), &registry).await.unwrap();
    let bucket = messaging.bucket("latest");
    eventually("connected", TIMEOUT, || async { messaging.broker_is_up() }).await;
    bucket
}

async fn next(watch: &mut BucketWatch) -> String {
    let BucketEntry { key, value, .. } =
        timeout(TIMEOUT, watch.next()).await.expect("the bucket tells something").unwrap();
    format!("{key}={}", String::from_utf8_lossy(&value.unwrap_or_default()))
}

/// A watch that has told these values first.
async fn told(bucket: &OpenBucket, values: &[&str]) -> BucketWatch {
    let mut watch = bucket.watch().await.unwrap();
    for value in values {
        assert_eq!(next(&mut watch).await, *value);
    }
    watch
}

#[tokio::test]
async fn a_value_is_written_only_over_the_revision_that_its_writer_saw() {
    let bucket = replica(&stack().await.nats_url()).await.open().await.unwrap();
    assert_eq!(bucket.get("a").await.unwrap(), None);
    let first = bucket.put("a", "1".into(), 0).await.unwrap().expect("nobody else writes");
    assert_eq!(bucket.put("a", "2".into(), 0).await.unwrap(), None, "there is one already");
    let second = bucket.put("a", "2".into(), first).await.unwrap().expect("the revision is known");
    assert_eq!(bucket.put("a", "3".into(), first).await.unwrap(), None, "another was faster");
    let kept = bucket.get("a").await.unwrap().expect("kept");
    assert_eq!((kept.value.as_deref(), kept.revision), (Some(&b"2"[..]), second));
}

#[tokio::test]
async fn every_replica_is_told_what_there_is_and_then_each_change() {
    let url = stack().await.nats_url();
    let (one, other) = (replica(&url).await.open().await.unwrap(), replica(&url).await.open().await.unwrap());
    assert_eq!(one.created, other.created);
    assert!(one.watch().await.unwrap().is_current(), "of an empty bucket all is known at once");
    let first = one.put("a", "1".into(), 0).await.unwrap().unwrap();
    let first = one.put("a", "2".into(), first).await.unwrap().unwrap();
    one.put("b", "1".into(), 0).await.unwrap().unwrap();
    assert!(!one.watch().await.unwrap().is_current());
    let mut watches = [told(&one, &["a=2", "b=1"]).await, told(&other, &["a=2", "b=1"]).await];
    other.put("a", "3".into(), first).await.unwrap().unwrap();
    for watch in &mut watches {
        assert!(watch.is_current());
        assert_eq!(next(watch).await, "a=3");
    }
}

#[tokio::test]
async fn a_bucket_made_anew_or_seen_over_another_connection_is_not_the_same() {
    let stack = Stack::start().await.unwrap();
    let bucket = replica(&stack.nats_url()).await;
    let old = bucket.open().await.unwrap();
    old.put("a", "1".into(), 0).await.unwrap();
    assert!(old.is_same().await.unwrap());
    old.delete().await.unwrap();
    assert!(!old.is_same().await.unwrap());
    let fresh = bucket.open().await.unwrap();
    assert_ne!(fresh.created, old.created);
    assert_eq!((fresh.last, fresh.get("a").await.unwrap()), (0, None));

    fresh.put("a", "2".into(), 0).await.unwrap();
    stack.kill_nats().await;
    eventually("the loss is noticed", TIMEOUT, || async { fresh.is_same().await.is_err() }).await;
    stack.restart_nats().await.unwrap();
    let same = eventually("the broker is back", Duration::from_secs(60), || async { fresh.is_same().await.ok() }).await;
    assert!(!same, "the bucket is, the connection isn't");
    let again = bucket.open().await.unwrap();
    assert_eq!((again.created, again.last), (fresh.created, 1));
}
