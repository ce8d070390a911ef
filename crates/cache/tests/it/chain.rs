//! The chain of memory, Redis and load, on a server in memory in virtual time.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_cache::{Loaded, LookUp, Policy};
use flotilla_testkit::memory::{MemoryRemote, SeededRandom};
use futures::future::join_all;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::fixtures::{COMMAND_TIMEOUT, KEY, LOAD_TIMEOUT, Process, STALE, TTL, WAIT, loaded, policy};
use crate::fixtures::{processes, settle, text};

#[tokio::test(start_paused = true)]
async fn a_value_is_loaded_once_and_then_found_in_memory_and_in_redis() {
    let (_remote, all) = processes(2).await;
    assert_eq!(all[0].read(1, "old").await, "old");
    assert_eq!(all[0].cached().await, "old");
    assert_eq!(all[1].cached().await, "old");
    for (process, source, hits) in [(0, "memory", 1.0), (0, "redis", 0.0), (1, "memory", 0.0), (1, "redis", 1.0)] {
        let sample = format!("flotilla_cache_hits_total{{cache=\"products\",source=\"{source}\"}}");
        assert_eq!(all[process].metric(&sample), hits, "{source} of {process}");
    }
    assert_eq!(all[0].metric("flotilla_cache_loads_total{cache=\"products\",outcome=\"stored\"}"), 1.0);
    assert!(all[0].metric("flotilla_cache_memory_bytes{cache=\"products\"}") > 3.0);
    advance(TTL).await;
    assert_eq!(all[1].read(2, "new").await, "new");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_readers_of_an_expired_key_in_four_processes_cause_one_load() {
    let (_remote, all) = processes(4).await;
    all[0].read(1, "old").await;
    advance(TTL).await;
    let loads = AtomicUsize::new(0);
    let load = || async {
        loads.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        Ok::<_, Infallible>(loaded(2, "new"))
    };
    let readers = (0..10_000).map(|at| all[at % 4].cache.get(KEY, load));
    for found in join_all(readers).await {
        assert_eq!(text(&found.unwrap()), "new");
    }
    assert_eq!(loads.into_inner(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_served_if_loading_fails_but_not_beyond_its_bound() {
    let (_remote, all) = processes(2).await;
    all[0].read(1, "old").await;
    advance(TTL).await;
    for process in &all {
        let found = process.cache.get(KEY, || async { Err("down") }).await.unwrap();
        assert!(found.is_stale());
        assert_eq!(process.metric("flotilla_cache_stale_served_total{cache=\"products\"}"), 1.0);
    }
    advance(STALE).await;
    for process in &all {
        assert_eq!(process.cache.get(KEY, || async { Err("down") }).await.unwrap_err(), "down");
    }
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_is_cached_for_its_own_time() {
    let (_remote, all) = processes(2).await;
    let nothing = || async { Ok::<_, Infallible>(Loaded { value: None, version: 0 }) };
    assert!(all[0].cache.get(KEY, nothing).await.unwrap().value().is_none());
    assert_eq!(all[0].cached().await, "nothing");
    assert_eq!(all[1].cached().await, "nothing");
    advance(policy().negative_ttl).await;
    assert_eq!(all[0].read(1, "something").await, "something");
    // After a deletion whose version nobody knows.
    all[0].cache.invalidate(KEY, None).await;
    assert!(all[0].cache.get(KEY, nothing).await.unwrap().value().is_none());
    assert_eq!(all[0].cached().await, "nothing");
    assert_eq!(all[1].cached().await, "nothing");
}

#[tokio::test(start_paused = true)]
async fn without_redis_the_memory_still_serves_and_nothing_waits_for_long() {
    for hangs in [false, true] {
        let (remote, all) = processes(1).await;
        if hangs {
            remote.set_hanging(true);
        } else {
            remote.set_down(true);
        }
        let began = Instant::now();
        assert_eq!(all[0].read(1, "old").await, "old");
        assert_eq!(all[0].cached().await, "old");
        assert!(began.elapsed() <= 2 * COMMAND_TIMEOUT + Duration::from_millis(10), "{:?}", began.elapsed());
        assert!(!all[0].cache.invalidate(KEY, None).await, "redis doesn't know of it");
        assert_eq!(all[0].read(2, "new").await, "new");
        remote.set_hanging(false);
        remote.set_down(false);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(all[0].read(2, "new").await, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_is_bounded_by_weight() {
    let random = Arc::new(SeededRandom::new(1));
    let process = Process::start(None, &random, Policy { memory: 100_000, ..policy() });
    for number in 0..1_000 {
        let load = || async { Ok::<_, Infallible>(Loaded { value: Some(Bytes::from(vec![0; 1_000])), version: 1 }) };
        process.cache.get(&number.to_string(), load).await.unwrap();
    }
    let weight = process.metric("flotilla_cache_memory_bytes{cache=\"products\"}");
    assert!((50_000.0..=100_000.0).contains(&weight), "{weight}");
    assert!(process.metric("flotilla_cache_evictions_total{cache=\"products\"}") > 900.0);
}

#[tokio::test(start_paused = true)]
async fn a_written_value_replaces_older_ones_everywhere_and_never_a_newer_one() {
    let (_remote, all) = processes(2).await;
    all[0].read(1, "old").await;
    all[1].cached().await;
    assert!(all[0].cache.put(KEY, loaded(3, "newest")).await);
    settle().await;
    assert!(all[1].cache.put(KEY, loaded(2, "late")).await);
    settle().await;
    assert_eq!(all[0].cached().await, "newest");
    assert_eq!(all[1].cached().await, "newest");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_load_passes_to_another_reader() {
    let (_remote, all) = processes(2).await;
    let LookUp::Load(load) = all[0].cache.look_up(KEY).await else { panic!("nothing is cached") };
    let others = async { tokio::join!(all[0].read(1, "value"), all[1].read(1, "value")) };
    let cancel = async {
        sleep(Duration::from_millis(100)).await;
        drop(load);
    };
    let began = Instant::now();
    assert_eq!(tokio::join!(others, cancel).0, ("value".to_owned(), "value".to_owned()));
    assert!(began.elapsed() < WAIT, "the lease was given back: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_another_process_only_for_a_bounded_time() {
    let (_remote, all) = processes(2).await;
    let LookUp::Load(_never_ends) = all[0].cache.look_up(KEY).await else { panic!("nothing is cached") };
    let began = Instant::now();
    assert_eq!(all[1].read(1, "value").await, "value");
    assert!((WAIT..WAIT + COMMAND_TIMEOUT).contains(&began.elapsed()), "{:?}", began.elapsed());
    let same_process = timeout(WAIT + LOAD_TIMEOUT + COMMAND_TIMEOUT, all[0].read(1, "value")).await;
    assert_eq!(same_process.unwrap(), "value");
}

#[tokio::test(start_paused = true)]
async fn one_reader_refreshes_early_while_the_others_are_served() {
    let (_remote, all) = processes(2).await;
    let slow = |version, value| async move {
        sleep(Duration::from_secs(2)).await;
        Ok::<_, Infallible>(loaded(version, value))
    };
    all[0].cache.get(KEY, || slow(1, "old")).await.unwrap();
    let (mut loads, end) = (0, Instant::now() + TTL * 8 / 10);
    while Instant::now() < end && loads == 0 {
        sleep(Duration::from_millis(100)).await;
        for process in &all {
            let began = Instant::now();
            match process.cache.look_up(KEY).await {
                LookUp::Hit(found) => assert!(!found.is_stale() && began.elapsed() < COMMAND_TIMEOUT),
                LookUp::Load(load) => {
                    loads += 1;
                    let others: Vec<_> = join_all(all.iter().map(Process::cached)).await;
                    assert_eq!(others, ["old", "old"], "while one refreshes");
                    load.complete(slow(2, "new").await.unwrap()).await;
                }
            }
        }
    }
    assert_eq!(loads, 1, "before it expires");
    settle().await;
    assert_eq!(all[0].metric("flotilla_cache_requests_total{cache=\"products\",outcome=\"error\"}"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_disables_the_cache() {
    let random = Arc::new(SeededRandom::new(1));
    let remote = MemoryRemote::new(Arc::clone(&random));
    let process = Process::start(Some(&remote), &random, Policy { ttl: flotilla_config::Live::default(), ..policy() });
    assert_eq!(process.read(1, "one").await, "one");
    assert_eq!(process.read(1, "two").await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_took_too_long_is_returned_but_not_cached() {
    let random = Arc::new(SeededRandom::new(1));
    let process = Process::start(None, &random, policy());
    let slow = || async {
        sleep(LOAD_TIMEOUT + Duration::from_millis(1)).await;
        Ok::<_, Infallible>(loaded(1, "slow"))
    };
    assert_eq!(text(&process.cache.get(KEY, slow).await.unwrap()), "slow");
    assert_eq!(process.read(2, "new").await, "new");
}
