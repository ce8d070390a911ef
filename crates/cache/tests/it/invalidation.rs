//! Invalidations: what is old is served by no process, whatever is lost, restarts or is slow.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use flotilla_cache::Invalidator;
use flotilla_testkit::memory::{Losses, SeededRandom};
use tokio::time::{Instant, advance, sleep};

use crate::fixtures::{COMMAND_TIMEOUT, KEY, MEMORY_TTL, STALE, TTL, loaded, processes, settle};

/// A load that began before an invalidation and ends after it.
async fn slow_load(version: u64, old: &'static str, invalidation: Option<u64>, reaches: bool) {
    let (remote, all) = processes(2).await;
    if !reaches {
        remote.set_losses(Losses { message: 1.0, ..Losses::default() });
    }
    let slow = all[1].cache.get(KEY, || async {
        sleep(Duration::from_millis(500)).await;
        Ok::<_, Infallible>(loaded(version, old))
    });
    let change = async {
        sleep(Duration::from_millis(200)).await;
        assert!(all[0].cache.invalidate(KEY, invalidation).await);
    };
    tokio::join!(slow, change).0.unwrap();
    assert_eq!(all[1].read(version + 1, "new").await, "new");
    assert_eq!(all[0].cached().await, "new");
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_does_not_bring_an_old_value_back() {
    slow_load(1, "old", Some(2), true).await;
    slow_load(1, "old", Some(2), false).await;
    slow_load(0, "old", None, true).await;
    slow_load(0, "old", None, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_after_an_invalidation_does_not_join_a_load_from_before() {
    let (_remote, all) = processes(1).await;
    let began = Instant::now();
    let slow = all[0].cache.get(KEY, || async {
        sleep(Duration::from_millis(500)).await;
        Ok::<_, Infallible>(loaded(0, "old"))
    });
    let after = async {
        sleep(Duration::from_millis(200)).await;
        all[0].cache.invalidate(KEY, None).await;
        assert_eq!(all[0].read(0, "new").await, "new");
        began.elapsed()
    };
    let took = tokio::join!(slow, after).1;
    assert!(took < Duration::from_millis(500), "it doesn't wait for that load either: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_reaches_other_processes_at_once_and_without_its_message_within_the_time_in_memory() {
    for (message, pause) in [(0.0, Duration::from_millis(1)), (1.0, MEMORY_TTL)] {
        let (remote, all) = processes(2).await;
        remote.set_losses(Losses { message, ..Losses::default() });
        assert_eq!(all[0].read(1, "old").await, "old");
        assert_eq!(all[1].cached().await, "old");
        assert!(all[0].cache.invalidate(KEY, Some(2)).await);
        assert_eq!(all[0].read(2, "new").await, "new");
        sleep(pause).await;
        assert_eq!(all[1].cached().await, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_redis_empties_the_memory() {
    let (remote, all) = processes(2).await;
    all[0].read(1, "old").await;
    all[1].cached().await;
    remote.restart();
    settle().await;
    assert_eq!(all[1].read(2, "new").await, "new");
    assert!(all[1].metric("flotilla_cache_flushes_total{cache=\"products\"}") >= 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_redis_that_comes_back_with_old_values_is_not_believed() {
    let (remote, all) = processes(1).await;
    all[0].read(1, "old").await;
    let before = remote.snapshot();
    all[0].cache.invalidate(KEY, Some(2)).await;
    all[0].read(2, "new").await;
    remote.restore(&before);
    settle().await;
    assert_eq!(all[0].read(2, "new").await, "new");
    advance(MEMORY_TTL).await;
    assert_eq!(all[0].cached().await, "new", "it has replaced the old one");
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_not_served_after_an_invalidation() {
    for (version, message) in [(Some(2), 0.0), (Some(2), 1.0), (None, 0.0), (None, 1.0)] {
        let (remote, all) = processes(2).await;
        all[0].read(1, "old").await;
        all[1].cached().await;
        remote.set_losses(Losses { message, ..Losses::default() });
        advance(MEMORY_TTL).await;
        all[0].cache.invalidate(KEY, version).await;
        settle().await;
        for process in &all {
            assert_eq!(process.cache.get(KEY, || async { Err("down") }).await.unwrap_err(), "down");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_without_redis_is_sent_later() {
    let (remote, all) = processes(2).await;
    all[0].read(1, "old").await;
    all[1].cached().await;
    remote.set_down(true);
    assert!(!all[0].cache.invalidate(KEY, None).await);
    assert_eq!(all[0].read(2, "new").await, "new", "not the one in redis");
    remote.set_down(false);
    settle().await;
    assert_eq!(all[1].read(2, "new").await, "new");
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_that_was_lost_on_its_way_is_repeated_before_the_next_read() {
    let (remote, all) = processes(2).await;
    all[0].read(1, "old").await;
    all[1].cached().await;
    remote.set_losses(Losses { request: 1.0, ..Losses::default() });
    assert!(!all[0].cache.invalidate(KEY, None).await);
    remote.set_losses(Losses::default());
    assert_eq!(all[0].read(2, "new").await, "new", "not the one in redis");
    settle().await;
    assert_eq!(all[1].cached().await, "new", "the other process was told then");
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_cache_invalidates_what_others_have_cached() {
    for (version, expected) in [(Some(2), "new"), (Some(1), "old"), (None, "new")] {
        let (remote, all) = processes(2).await;
        all[0].read(1, "old").await;
        all[1].cached().await;
        let shared = Arc::new(remote.clone());
        let invalidator = Invalidator::new("products", shared, COMMAND_TIMEOUT, TTL + STALE, &SeededRandom::new(2));
        remote.set_down(true);
        assert!(!invalidator.invalidate(KEY, version).await, "nobody was told");
        remote.set_down(false);
        settle().await;
        all[0].read(1, "old").await;
        all[1].cached().await;
        assert!(invalidator.invalidate(KEY, version).await);
        settle().await;
        for process in &all {
            assert_eq!(process.read(2, "new").await, expected, "{version:?}");
        }
    }
}
