//! The follower of a bucket on a real broker.

use std::sync::Arc;
use std::time::Duration;

use flotilla_clock::{Backoff, OsRandom};
use flotilla_messaging::{BrokerError, BucketEntry, BucketFollower, BucketObserver, FollowError, OpenBucket};
use flotilla_testkit::stack;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::TIMEOUT;
use super::bucket::replica;

/// Sends each call; writes a value of its own before it has caught up.
struct Recorder(UnboundedSender<String>);

impl Recorder {
    fn record(&self, call: impl Into<String>) {
        let _ = self.0.send(call.into());
    }
}

impl BucketObserver for Recorder {
    type Error = BrokerError;

    async fn begin(&self, _: &OpenBucket) -> Result<(), BrokerError> {
        self.record("begin");
        Ok(())
    }

    fn observe(&self, entry: BucketEntry) {
        self.record(format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value.unwrap_or_default())));
    }

    async fn caught_up(&self, bucket: &OpenBucket) -> Result<(), BrokerError> {
        self.record("caught up");
        bucket.put("mine", "1".into(), 0).await.map(drop)
    }

    fn interrupted(&self, error: &FollowError<BrokerError>, repeated: bool) {
        self.record(format!("interrupted, changed: {}, repeated: {repeated}", matches!(error, FollowError::Changed)));
    }
}

async fn expect(calls: &mut UnboundedReceiver<String>, expected: &[&str]) {
    for expected in expected {
        let call = timeout(TIMEOUT, calls.recv()).await.expect("a call in time").expect("the follower runs");
        assert_eq!(call, *expected);
    }
}

#[tokio::test]
async fn a_follower_observes_old_values_then_changes_and_starts_over_with_another_bucket() {
    let bucket = replica(&stack().await.nats_url()).await;
    let open = bucket.open().await.unwrap();
    for key in ["a", "b"] {
        open.put(key, "1".into(), 0).await.unwrap().expect("nobody else writes");
    }
    let (sender, mut calls) = unbounded_channel();
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    let check = Duration::from_millis(50);
    let follower = BucketFollower::new(bucket, Recorder(sender), check, backoff, Arc::new(OsRandom));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(follower.run(shutdown.clone()));
    expect(&mut calls, &["begin", "a=1", "b=1", "caught up", "mine=1"]).await;
    open.put("c", "1".into(), 0).await.unwrap().expect("nobody else writes");
    expect(&mut calls, &["c=1"]).await;

    open.delete().await.unwrap();
    let interrupted = "interrupted, changed: true, repeated: false";
    expect(&mut calls, &[interrupted, "begin", "caught up", "mine=1"]).await;
    shutdown.cancel();
    timeout(TIMEOUT, running).await.expect("ends in time").unwrap();
    assert_eq!(calls.recv().await, None, "nothing is called after the shutdown");
}
