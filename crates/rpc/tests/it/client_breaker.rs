//! Servers that answer, but badly: addresses are ejected, and the breaker of a service opens.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_rpc::{ClientSettings, Details};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::client_replica::{Act, READ, Replica, TIMEOUT, WRITE, call, quick, to};

#[tokio::test]
async fn the_breaker_opens_when_calls_fail_and_one_that_succeeds_closes_it() {
    let replica = Replica::start();
    let settings = ClientSettings {
        breaker_calls: 10,
        breaker_percent: 50,
        breaker_pause: HumanDuration::from_secs(3),
        ..quick()
    };
    let channel = to(&[&replica], &settings);
    // In the trailers, where nothing but the status tells it from success.
    replica.act(Act::Fail(Code::Internal));
    for path in [READ, WRITE, READ, WRITE, READ, READ, READ, READ, READ, READ] {
        assert_eq!(call(&channel, path, "").await.unwrap_err().code(), Code::Internal);
    }
    let opened = Instant::now();
    let status = call(&channel, READ, "").await.unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::Unavailable, Some("CIRCUIT_OPEN")));
    assert!(details.retry_after.is_some_and(|after| after <= Duration::from_secs(3)), "{details:?}");
    assert_eq!(replica.calls(), 10, "nothing is sent");
    replica.act(Act::Slow(Duration::from_millis(100)));
    sleep((opened + Duration::from_millis(3_050)).saturating_duration_since(Instant::now())).await;
    let (trial, other) = tokio::join!(call(&channel, READ, ""), call(&channel, READ, ""));
    trial.unwrap();
    assert_eq!(Details::of(&other.unwrap_err()).reason.as_deref(), Some("CIRCUIT_OPEN"), "one tries");
    call(&channel, READ, "").await.unwrap();
}

#[tokio::test]
async fn refusals_caused_by_the_caller_do_not_open_the_breaker() {
    let replica = Replica::start();
    let settings = ClientSettings { breaker_calls: 5, breaker_percent: 1, ..quick() };
    let channel = to(&[&replica], &settings);
    for code in [Code::NotFound, Code::InvalidArgument, Code::ResourceExhausted, Code::PermissionDenied] {
        replica.act(Act::Refuse(Status::new(code, "")));
        for _ in 0..5 {
            assert_eq!(call(&channel, READ, "").await.unwrap_err().code(), code);
        }
    }
}

#[tokio::test]
async fn an_address_that_fails_is_ejected_and_comes_back() {
    let (bad, good) = (Replica::start(), Replica::start());
    let settings = ClientSettings { eject_after: 3, eject_for: HumanDuration::from_secs(3), ..quick() };
    let channel = to(&[&bad, &good], &settings);
    while bad.calls() == 0 || good.calls() == 0 {
        call(&channel, READ, "").await.unwrap();
    }
    let before = bad.calls();
    bad.act(Act::Refuse(Status::internal("")));
    let mut failures = 0;
    while failures < 3 {
        failures += usize::from(call(&channel, READ, "").await.is_err());
    }
    let ejected = Instant::now();
    while ejected.elapsed() < Duration::from_millis(300) {
        call(&channel, READ, "").await.unwrap();
    }
    assert_eq!(bad.calls() - before, 3);
    bad.act(Act::Answer);
    while bad.calls() - before == 3 {
        assert!(ejected.elapsed() < TIMEOUT, "it comes back");
        call(&channel, READ, "").await.unwrap();
    }
}

#[tokio::test]
async fn at_most_half_of_the_addresses_are_ejected() {
    let replicas = [Replica::start(), Replica::start(), Replica::start()];
    let settings = ClientSettings { eject_after: 1, eject_for: HumanDuration::from_secs(60), ..quick() };
    let channel = to(&replicas.iter().collect::<Vec<_>>(), &settings);
    while replicas.iter().any(|replica| replica.calls() == 0) {
        call(&channel, READ, "").await.unwrap();
    }
    replicas.iter().for_each(|replica| replica.act(Act::Refuse(Status::internal(""))));
    let before: Vec<_> = replicas.iter().map(Replica::calls).collect();
    for _ in 0..60 {
        call(&channel, READ, "").await.unwrap_err();
    }
    let mut calls: Vec<_> = replicas.iter().zip(before).map(|(replica, before)| replica.calls() - before).collect();
    calls.sort_unstable();
    assert_eq!(calls[0], 1, "one is left alone: {calls:?}");
    assert!(calls[1] > 10, "the others are not: {calls:?}");
}
