//! The cache with a real server that stops, hangs and restarts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use flotilla_cache::{Cache, CacheSettings};
use flotilla_config::HumanDuration;
use flotilla_servers::{Layout, Redis, RedisOptions, provision};
use prometheus::{Registry, TextEncoder};
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);

async fn server(name: &str) -> Redis {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.flotilla");
    let layout = Layout::open(&root).unwrap();
    let binaries = provision(&layout, &|line| eprintln!("{line}")).await.unwrap();
    // Leftovers of killed runs. It may fail if another test removes them at the same time.
    if let Err(error) = layout.sweep("cache-crate-") {
        eprintln!("leftovers could not be removed: {error}");
    }
    let name = format!("cache-crate-{name}-{}", std::process::id());
    Redis::start(&binaries, &layout, &name, RedisOptions::default()).await.unwrap()
}

/// A timeout that even a busy machine doesn't reach, for reads that must succeed.
const LONG_TIMEOUT: HumanDuration = HumanDuration::from_secs(120);
/// The timeout of calls that must fail.
const SHORT_TIMEOUT: HumanDuration = HumanDuration::from_millis(300);

async fn connect(url: &str, command_timeout: HumanDuration, registry: &Registry) -> Cache {
    let settings = CacheSettings { redis_url: Some(url.into()), command_timeout };
    Cache::connect("prices", &settings, registry).await
}

async fn eventually<F, Fut>(what: &str, mut is_so: F)
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

fn shown(registry: &Registry, line: &str) -> bool {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    text.lines().any(|shown| shown == line)
}

#[tokio::test]
async fn values_are_kept_until_they_expire_or_are_deleted() {
    let server = server("values").await;
    let registry = Registry::new();
    let cache = connect(&server.url(), LONG_TIMEOUT, &registry).await;
    eventually("the cache is up", || async { cache.is_up() }).await;
    assert_eq!(cache.get("a").await, None);
    let value = Bytes::from_static(b"\x00\xff\r\n");
    cache.set("a", value.clone(), LONG).await;
    cache.set("empty", Bytes::new(), LONG).await;
    cache.set("short", value.clone(), Duration::from_millis(20)).await;
    assert_eq!(cache.get("a").await, Some(value));
    assert_eq!(cache.get("empty").await, Some(Bytes::new()));
    eventually("the short-lived value has expired", || async { cache.get("short").await.is_none() }).await;
    cache.delete("a").await;
    assert_eq!(cache.get("a").await, None);
    assert!(shown(&registry, "flotilla_cache_writes_total{cache=\"prices\",outcome=\"ok\"} 4"));
    assert!(shown(&registry, "flotilla_cache_requests_total{cache=\"prices\",outcome=\"error\"} 0"));
    assert!(shown(&registry, "flotilla_cache_up{cache=\"prices\"} 1"));
    let other = cache.clone();
    cache.close().await;
    assert!(!other.is_up());
    assert_eq!(other.get("empty").await, None);
}

#[tokio::test]
async fn reads_miss_while_the_server_is_stopped_and_hit_again_after_its_restart() {
    let mut server = server("stops").await;
    let registry = Registry::new();
    let cache = connect(&server.url(), SHORT_TIMEOUT, &registry).await;
    eventually("the cache is up", || async { cache.is_up() }).await;
    cache.set("a", Bytes::from_static(b"1"), LONG).await;
    server.stop().await.unwrap();
    assert_eq!(cache.get("a").await, None);
    eventually("the loss is noticed", || async { !cache.is_up() }).await;
    let began = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(cache.get("a").await, None);
    }
    // A fifth of what it would take if each call waited for a response.
    assert!(began.elapsed() < SHORT_TIMEOUT.0 * 200, "a thousand calls took {:?}", began.elapsed());
    assert!(shown(&registry, "flotilla_cache_up{cache=\"prices\"} 0"));
    server.restart().await.unwrap();
    eventually("values are kept again", || async {
        cache.set("b", Bytes::from_static(b"2"), LONG).await;
        cache.get("b").await.is_some()
    })
    .await;
    assert!(cache.is_up());
    cache.close().await;
}

#[tokio::test]
async fn a_hanging_server_causes_a_few_timeouts_and_then_no_delay() {
    let server = server("hangs").await;
    let cache = connect(&server.url(), SHORT_TIMEOUT, &Registry::new()).await;
    eventually("the cache is up", || async { cache.is_up() }).await;
    let pid = server.pid().to_string();
    let signal = |signal: &str| std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(signal("-STOP").success());
    let began = Instant::now();
    for _ in 0..500 {
        assert_eq!(cache.get("a").await, None);
    }
    let took = began.elapsed();
    assert!(signal("-CONT").success());
    // Two fifths of what it would take if each call waited for a response.
    assert!(took < SHORT_TIMEOUT.0 * 200, "five hundred calls took {took:?}");
    eventually("the cache is up again", || async {
        cache.set("b", Bytes::from_static(b"2"), LONG).await;
        cache.get("b").await.is_some()
    })
    .await;
    cache.close().await;
}

#[tokio::test]
async fn a_server_that_starts_late_is_connected_to() {
    let mut server = server("late").await;
    server.stop().await.unwrap();
    let cache = connect(&server.url(), SHORT_TIMEOUT, &Registry::new()).await;
    assert!(!cache.is_up());
    assert_eq!(cache.get("a").await, None);
    server.restart().await.unwrap();
    eventually("the cache is up", || async { cache.is_up() }).await;
    cache.close().await;
}

#[tokio::test]
async fn without_a_valid_address_every_read_misses() {
    let registry = Registry::new();
    let none = Cache::connect("none", &CacheSettings::default(), &registry).await;
    none.set("a", Bytes::new(), LONG).await;
    assert_eq!(none.get("a").await, None);
    assert!(!none.is_up());
    assert!(shown(&registry, "flotilla_cache_requests_total{cache=\"none\",outcome=\"miss\"} 1"));
    none.close().await;
    let wrong = connect("not an address", SHORT_TIMEOUT, &registry).await;
    assert_eq!(wrong.get("a").await, None);
    wrong.close().await;
}
