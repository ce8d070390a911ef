use flotilla_testkit::stack;

use super::*;
use crate::supervisor::database;

fn home(room: &tempfile::TempDir, name: &str) -> (Home, Secrets) {
    let home = Home::open(&room.path().join(name), None).unwrap();
    let secrets = Secrets::load(&home).unwrap();
    (home, secrets)
}

#[tokio::test]
async fn databases_of_one_home_are_refused_to_another_and_kept_for_the_one() {
    let room = tempfile::tempdir().unwrap();
    let ((one, secrets), (other, others)) = (home(&room, "a/ux"), home(&room, "b/ux"));
    let external = External { postgres: Some(stack().await.postgres_url().to_owned()), ..External::default() };
    let url = external.postgres.clone().unwrap();
    check(&one, &external, &secrets).await.unwrap();
    database::prepare(&url, &secrets).await.unwrap();
    // Unclaimed, as an earlier version left them: they belong to the home that has the passwords.
    check(&one, &external, &secrets).await.unwrap();
    claim_databases(&one, &url).await.unwrap();
    check(&one, &external, &secrets).await.unwrap();
    let refusal = check(&other, &external, &others).await.unwrap_err().to_string();
    assert!(
        refusal.contains("a database identity that doesn't belong to") && refusal.contains(other.id()),
        "{refusal}"
    );
    claim_databases(&other, &url).await.unwrap();
    check(&one, &external, &secrets).await.unwrap();
}

#[tokio::test]
async fn the_servers_of_a_native_fleet_are_refused_to_another_home() {
    let room = tempfile::tempdir().unwrap();
    let ((one, _), (other, others)) = (home(&room, "a/ux"), home(&room, "b/ux"));
    let stack = stack().await;
    let (nats, redis) = (stack.nats_url(), stack.redis_url());
    mark(&one, Some(&nats), Some(&redis)).await.unwrap();
    for external in [
        External { nats: Some(nats.clone()), ..External::default() },
        External { redis: Some(redis.clone()), ..External::default() },
    ] {
        let refusal = check(&other, &external, &others).await.unwrap_err().to_string();
        assert!(refusal.contains(one.id()), "{refusal}");
    }
    // A home that came with its data from elsewhere has another id, and the data stay its own.
    mark(&other, Some(&nats), Some(&redis)).await.unwrap();
    check(&other, &External { nats: Some(nats), redis: Some(redis), ..External::default() }, &others).await.unwrap();
}

#[tokio::test]
async fn streams_and_a_cache_of_one_home_are_refused_to_another() {
    let room = tempfile::tempdir().unwrap();
    let ((one, secrets), (other, others)) = (home(&room, "a/ux"), home(&room, "b/ux"));
    let stack = stack().await;
    for external in [
        External { nats: Some(stack.nats_url()), ..External::default() },
        External { redis: Some(stack.redis_url()), ..External::default() },
    ] {
        check(&one, &external, &secrets).await.unwrap();
        let refusal = check(&other, &external, &others).await.unwrap_err().to_string();
        assert!(refusal.contains(one.id()) && refusal.contains("b/ux"), "{refusal}");
        check(&one, &external, &secrets).await.unwrap();
    }
}
