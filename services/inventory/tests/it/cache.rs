//! Changed products are invalidated in the gateway's cache.

use std::sync::Arc;
use std::time::Duration;

use flotilla_cache::remote::Remote as _;
use flotilla_cache::{CacheSettings, Loaded, Redis, TwoLevelCache};
use flotilla_clock::OsRandom;
use flotilla_config::HumanDuration;
use flotilla_proto::caches;
use flotilla_proto::inventory::v1::GetProductRequest;
use flotilla_testkit::{Stack, eventually, stack};
use prost::Message as _;
use prost::bytes::Bytes;

use crate::world::{TIMEOUT, World, create};

const NAME: &str = "products/tea";
/// Longer than a test may take: only an invalidation makes a product old.
const LONG: Duration = Duration::from_secs(3_600);
/// The machine may be busy; what is tested is not how quick Redis is.
const COMMAND_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(5));

/// A cache as the gateway has it.
fn cache(url: &str) -> TwoLevelCache<Bytes> {
    let settings = CacheSettings {
        redis_url: Some(url.into()),
        command_timeout: COMMAND_TIMEOUT,
        memory_ttl: HumanDuration(LONG),
        ..CacheSettings::default()
    };
    let policy = settings.policy(HumanDuration(LONG).into(), LONG);
    TwoLevelCache::connect(caches::PRODUCTS, &settings, policy, Arc::new(OsRandom), &prometheus::Registry::new())
        .unwrap()
}

/// Reads the product's price through the cache; also returns whether it had to be loaded.
async fn read(world: &World, cache: &TwoLevelCache<Bytes>) -> (i64, bool) {
    let mut is_loaded = false;
    let found = cache
        .get(NAME, async || {
            is_loaded = true;
            let product = world.public().get_product(GetProductRequest { name: NAME.to_owned() }).await?.into_inner();
            let version = u64::try_from(product.version).unwrap();
            Ok::<_, tonic::Status>(Loaded { value: Some(product.encode_to_vec().into()), version })
        })
        .await
        .unwrap();
    let product = flotilla_proto::inventory::v1::Product::decode(found.value().unwrap().clone()).unwrap();
    (product.price.unwrap().units, is_loaded)
}

#[tokio::test]
async fn a_changed_product_is_no_longer_served_from_the_gateways_cache() {
    let url = stack().await.redis_url();
    let world = World::start_with(|settings| {
        settings.cache.redis_url = Some(url.as_str().into());
        settings.cache.command_timeout = COMMAND_TIMEOUT;
    })
    .await;
    let cache = cache(&url);
    world.catalogue().create_product(create("tea", 100)).await.unwrap();
    for cents in [200, 300] {
        eventually("the product is cached", TIMEOUT, || async { !read(&world, &cache).await.1 }).await;
        world.set_price("tea", cents).await;
        let price = i64::from(cents / 100);
        eventually("the new price", TIMEOUT, || async { read(&world, &cache).await.0 == price }).await;
    }
    cache.close().await;
    world.finish().await;
}

#[tokio::test]
async fn while_redis_is_down_the_changes_wait_for_it() {
    let own = Stack::start().await.unwrap();
    let url = own.redis_url();
    let world = World::start_on(&own, |settings| {
        settings.cache.redis_url = Some(url.as_str().into());
        settings.cache.command_timeout = COMMAND_TIMEOUT;
    })
    .await;
    own.kill_redis().await;
    world.catalogue().create_product(create("tea", 100)).await.unwrap();
    world.set_price("tea", 200).await;
    let retries = "flotilla_consumer_retries_total{consumer=\"inventory-cache\"";
    eventually("it is tried", TIMEOUT, || async {
        world.service.metrics().lines().any(|line| line.starts_with(retries) && !line.ends_with(" 0"))
    })
    .await;
    own.restart_redis().await.unwrap();
    let redis = Redis::connect("test", &url.as_str().into(), COMMAND_TIMEOUT.get()).unwrap();
    // A tombstone with the version of the last change.
    let entry = format!("{}:v2:{{{NAME}}}", caches::PRODUCTS);
    eventually("redis knows of the change", TIMEOUT, || async {
        let stored = redis.get(&entry).await.ok().flatten();
        stored.is_some_and(|stored| stored.starts_with(b"T00000000000000000002"))
    })
    .await;
    redis.close().await;
    world.finish().await;
}
