//! A real server that stops, hangs and restarts.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_cache::guarded::Guarded;
use flotilla_cache::{CacheSettings, Loaded, Redis, TwoLevelCache};
use flotilla_clock::OsRandom;
use flotilla_config::HumanDuration;
use flotilla_servers::{Layout, Redis as Server, RedisOptions, provision};
use prometheus::{Registry, TextEncoder};
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);
/// A timeout that even a busy machine doesn't reach, for reads that must succeed.
const LONG_TIMEOUT: Duration = Duration::from_secs(120);
/// The timeout of calls that must fail.
const SHORT_TIMEOUT: Duration = Duration::from_millis(300);

pub async fn server(name: &str) -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla");
    let layout = Layout::open(&root).unwrap();
    let binaries = provision(&layout, &|line| eprintln!("{line}")).await.unwrap();
    // Leftovers of killed runs. It may fail if another test removes them at the same time.
    if let Err(error) = layout.sweep("cache-crate-") {
        eprintln!("leftovers could not be removed: {error}");
    }
    let name = format!("cache-crate-{name}-{}", std::process::id());
    Server::start(&binaries, &layout, &name, RedisOptions::default()).await.unwrap()
}

pub async fn eventually<F, Fut>(what: &str, mut is_so: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let end = Instant::now() + Duration::from_secs(120);
    while !is_so().await {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn guarded(server: &Server, timeout: Duration) -> Guarded {
    Guarded::new(Arc::new(Redis::connect("prices", &server.url().into(), timeout).unwrap()), timeout)
}

/// Until values are kept.
async fn up(redis: &Guarded) {
    eventually("values are kept", || async {
        redis.set("up", Bytes::from_static(b"1"), LONG).await;
        redis.get("up").await.flatten().is_some()
    })
    .await;
    assert!(redis.is_up());
}

#[tokio::test]
async fn calls_fail_at_once_while_the_server_is_stopped_and_succeed_after_its_restart() {
    let mut server = server("stops").await;
    let redis = guarded(&server, SHORT_TIMEOUT);
    up(&redis).await;
    server.stop().await.unwrap();
    assert_eq!(redis.get("up").await, None);
    eventually("the loss is noticed", || async { !redis.is_up() }).await;
    let began = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(redis.get("up").await, None);
    }
    // A fifth of what it would take if each call waited for a response.
    assert!(began.elapsed() < SHORT_TIMEOUT * 200, "a thousand calls took {:?}", began.elapsed());
    server.restart().await.unwrap();
    up(&redis).await;
    redis.remote().close().await;
    assert!(!redis.is_up());
}

#[tokio::test]
async fn a_hanging_server_causes_a_few_timeouts_and_then_no_delay() {
    let server = server("hangs").await;
    let redis = guarded(&server, SHORT_TIMEOUT);
    up(&redis).await;
    let pid = server.pid().to_string();
    let signal = |signal: &str| std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(signal("-STOP").success());
    let began = Instant::now();
    for _ in 0..500 {
        assert_eq!(redis.get("up").await, None);
    }
    let took = began.elapsed();
    assert!(signal("-CONT").success());
    // Two fifths of what it would take if each call waited for a response.
    assert!(took < SHORT_TIMEOUT * 200, "five hundred calls took {took:?}");
    up(&redis).await;
    redis.remote().close().await;
}

#[tokio::test]
async fn a_server_that_starts_late_is_connected_to() {
    let mut server = server("late").await;
    server.stop().await.unwrap();
    let redis = guarded(&server, SHORT_TIMEOUT);
    assert!(!redis.is_up());
    assert_eq!(redis.get("up").await, None);
    server.restart().await.unwrap();
    up(&redis).await;
    redis.remote().close().await;
}

/// A process with a cache of its own.
async fn process(url: &str) -> (TwoLevelCache<Bytes>, Registry) {
    let settings = CacheSettings {
        redis_url: Some(url.into()),
        command_timeout: HumanDuration(LONG_TIMEOUT),
        // Only messages make what is in memory old.
        memory_ttl: HumanDuration(LONG * 60),
        ..CacheSettings::default()
    };
    let (policy, registry) = (settings.policy(HumanDuration(LONG * 60).into(), LONG), Registry::new());
    let cache = TwoLevelCache::connect("products", &settings, policy, Arc::new(OsRandom), &registry).unwrap();
    eventually("the cache is up and subscribed", || async {
        cache.is_up() && shown(&registry, "flotilla_cache_flushes_total{cache=\"products\"} 1")
    })
    .await;
    (cache, registry)
}

fn shown(registry: &Registry, line: &str) -> bool {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    text.lines().any(|shown| shown == line)
}

async fn read(cache: &TwoLevelCache<Bytes>, version: u64) -> u64 {
    let load = || async { Ok::<_, &str>(Loaded { value: Some(version.to_string().into()), version }) };
    cache.get("tea", load).await.unwrap().version()
}

#[tokio::test]
async fn two_processes_share_values_and_invalidations() {
    let server = server("processes").await;
    let ((one, counted), (two, _)) = (process(&server.url()).await, process(&server.url()).await);
    assert_eq!(read(&one, 1).await, 1);
    assert_eq!(read(&two, 2).await, 1, "from redis");
    assert_eq!(read(&one, 2).await, 1, "from memory");
    assert!(shown(&counted, "flotilla_cache_hits_total{cache=\"products\",source=\"memory\"} 1"));
    assert!(two.invalidate("tea", Some(2)).await);
    assert_eq!(read(&two, 2).await, 2);
    eventually("the invalidation arrives", || async { read(&one, 2).await == 2 }).await;
    assert!(two.put("tea", Loaded { value: Some(Bytes::from_static(b"3")), version: 3 }).await);
    eventually("the write arrives", || async { read(&one, 3).await == 3 }).await;
    one.close().await;
    assert!(!one.is_up());
    assert_eq!(read(&one, 3).await, 3, "from memory");
    two.close().await;
}

#[tokio::test]
async fn a_restarted_server_empties_the_memory_of_all_processes() {
    let mut server = server("restarts").await;
    let (cache, registry) = process(&server.url()).await;
    assert_eq!(read(&cache, 1).await, 1);
    assert_eq!(read(&cache, 2).await, 1);
    server.stop().await.unwrap();
    eventually("the loss is noticed", || async { !cache.is_up() }).await;
    assert!(!cache.invalidate("another", None).await);
    server.restart().await.unwrap();
    eventually("the memory is emptied", || async {
        shown(&registry, "flotilla_cache_flushes_total{cache=\"products\"} 2")
    })
    .await;
    assert_eq!(read(&cache, 2).await, 2);
    cache.close().await;
}

#[test]
fn without_a_valid_address_there_is_no_cache() {
    for redis_url in [None, Some("not an address".into())] {
        let settings = CacheSettings { redis_url, ..CacheSettings::default() };
        let policy = settings.policy(HumanDuration(LONG).into(), LONG);
        let cache = TwoLevelCache::<Bytes>::connect("none", &settings, policy, Arc::new(OsRandom), &Registry::new());
        assert!(cache.is_none());
    }
}
