//! What the lock guarantees and what not: paused holders, clocks that jump, servers that fail.

use std::sync::Arc;
use std::time::Duration;

use flotilla_cache::Lock;
use flotilla_cache::remote::SharedRemote;
use flotilla_testkit::memory::{Losses, MemoryRemote, SeededRandom};
use tokio::time::{Instant, advance, sleep};

const NAME: &str = "price-refresh";
const TTL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_millis(50);

/// What a lock protects. It refuses lower fencing numbers than the highest it has seen.
#[derive(Default)]
struct Resource {
    highest: u64,
    writes: Vec<&'static str>,
}

impl Resource {
    fn write(&mut self, fencing: u64, by: &'static str) -> bool {
        let is_current = fencing >= self.highest;
        if is_current {
            self.highest = fencing;
            self.writes.push(by);
        }
        is_current
    }
}

/// Servers, and two processes that lock on them.
fn two_processes(servers: usize) -> (Vec<MemoryRemote>, Lock, Lock) {
    let random = Arc::new(SeededRandom::new(1));
    let servers: Vec<_> = (0..servers).map(|_| MemoryRemote::new(Arc::clone(&random))).collect();
    let lock = || {
        let shared = servers.iter().map(|server| Arc::new(server.clone()) as SharedRemote).collect();
        Lock::new(shared, TIMEOUT, Arc::clone(&random) as _)
    };
    let (one, two) = (lock(), lock());
    (servers, one, two)
}

#[tokio::test(start_paused = true)]
async fn one_holds_it_until_it_is_released_or_expires_and_numbers_rise() {
    for servers in [1, 3, 5] {
        let (_servers, one, two) = two_processes(servers);
        let first = one.try_acquire(NAME, TTL).await.unwrap();
        assert!(first.is_valid());
        assert!(two.try_acquire(NAME, TTL).await.is_none());
        assert!(two.try_acquire("another", TTL).await.is_some());
        assert!(first.release().await);
        let second = two.try_acquire(NAME, TTL).await.unwrap();
        assert_eq!(second.fencing(), 2);
        advance(TTL).await;
        assert!(!second.is_valid());
        let third = one.try_acquire(NAME, TTL).await.unwrap();
        assert_eq!(third.fencing(), 3);
        assert!(!second.release().await, "it isn't the second's any more");
        assert!(two.try_acquire(NAME, TTL).await.is_none(), "the third still has it");
    }
}

#[tokio::test(start_paused = true)]
async fn an_extended_lock_stays_and_a_lost_one_is_not_extended() {
    let (_servers, one, two) = two_processes(3);
    let mut held = one.try_acquire(NAME, TTL).await.unwrap();
    for _ in 0..5 {
        advance(TTL * 8 / 10).await;
        assert!(held.extend(TTL).await && held.is_valid());
        assert!(two.try_acquire(NAME, TTL).await.is_none());
    }
    advance(TTL).await;
    let other = two.try_acquire(NAME, TTL).await.unwrap();
    assert!(!held.extend(TTL).await && !held.is_valid());
    assert!(other.is_valid() && other.release().await);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_process_gets_it_after_its_release() {
    let (_servers, one, two) = two_processes(3);
    let held = one.try_acquire(NAME, TTL).await.unwrap();
    let began = Instant::now();
    let waiting = two.acquire(NAME, TTL, TTL / 2);
    let releasing = async {
        sleep(Duration::from_secs(1)).await;
        held.release().await
    };
    assert!(tokio::join!(waiting, releasing).0.is_some());
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(one.acquire(NAME, TTL, TTL / 2).await.is_none(), "not within its wait");
}

#[tokio::test(start_paused = true)]
async fn a_paused_holder_is_refused_by_a_resource_that_checks_the_fencing_number() {
    let (_servers, one, two) = two_processes(3);
    let (mut fenced, mut unfenced) = (Resource::default(), Vec::new());
    let paused = one.try_acquire(NAME, TTL).await.unwrap();
    assert!(paused.is_valid(), "it checks, and then the process stops");
    advance(TTL * 2).await;
    let other = two.try_acquire(NAME, TTL).await.unwrap();
    assert!(fenced.write(other.fencing(), "other"));
    unfenced.push("other");
    // The paused one goes on where it stopped.
    assert!(!fenced.write(paused.fencing(), "paused"));
    unfenced.push("paused");
    assert_eq!(fenced.writes, ["other"]);
    assert_eq!(unfenced, ["other", "paused"], "what the lock alone doesn't prevent");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_makes_two_holders_of_one_server_but_not_of_three() {
    let (servers, one, two) = two_processes(1);
    let first = one.try_acquire(NAME, TTL).await.unwrap();
    servers[0].jump(TTL);
    let second = two.try_acquire(NAME, TTL).await.unwrap();
    assert!(first.is_valid() && second.is_valid(), "what the lock alone doesn't prevent");
    let mut resource = Resource::default();
    assert!(resource.write(second.fencing(), "second") && !resource.write(first.fencing(), "first"));

    let (servers, one, two) = two_processes(3);
    let first = one.try_acquire(NAME, TTL).await.unwrap();
    servers[0].jump(TTL);
    assert!(two.try_acquire(NAME, TTL).await.is_none(), "two servers still know the first");
    servers[1].jump(TTL);
    let second = two.try_acquire(NAME, TTL).await.unwrap();
    assert!(first.is_valid() && second.fencing() > first.fencing());
}

#[tokio::test(start_paused = true)]
async fn a_minority_of_servers_may_be_down_and_fencing_numbers_rise_across_majorities() {
    let (servers, one, two) = two_processes(5);
    let mut last = 0;
    // Each round another majority, after one server has counted further than the others.
    for round in 0..10 {
        for (at, server) in servers.iter().enumerate() {
            server.set_down(at == round % 5 || at == (round + 1) % 5);
        }
        sleep(Duration::from_secs(1)).await;
        let held = if round % 2 == 0 { &one } else { &two }.try_acquire(NAME, TTL).await.unwrap();
        assert!(held.fencing() > last, "{} after {last} in round {round}", held.fencing());
        last = held.fencing();
        // Time for the breakers, and for what servers that were down still hold.
        assert!(held.release().await);
        sleep(TTL).await;
    }
    for (at, server) in servers.iter().enumerate() {
        server.set_down(at < 3);
    }
    sleep(Duration::from_secs(1)).await;
    assert!(one.try_acquire(NAME, TTL).await.is_none(), "two of five are no majority");
}

#[tokio::test(start_paused = true)]
async fn a_majority_that_has_counted_less_still_gets_a_higher_number() {
    let (servers, one, _two) = two_processes(3);
    // The first server alone has counted far: attempts that got no majority.
    servers[1].set_down(true);
    servers[2].set_down(true);
    for _ in 0..10 {
        assert!(one.try_acquire(NAME, TTL).await.is_none());
    }
    servers[1].set_down(false);
    sleep(Duration::from_secs(1)).await;
    let first = one.try_acquire(NAME, TTL).await.unwrap();
    assert!(first.release().await && first_is_far(&servers).await);
    servers[0].set_down(true);
    servers[2].set_down(false);
    sleep(Duration::from_secs(1)).await;
    let second = one.try_acquire(NAME, TTL).await.unwrap();
    assert!(second.fencing() > 11, "{}", second.fencing());
}

/// Whether the first server has counted all attempts.
async fn first_is_far(servers: &[MemoryRemote]) -> bool {
    use flotilla_cache::remote::Remote as _;
    let number = servers[0].get(&format!("lock:{{{NAME}}}:fencing")).await.unwrap().unwrap();
    number.as_ref() == b"11"
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_leaves_nothing_even_if_responses_are_lost() {
    let (servers, one, two) = two_processes(3);
    for server in &servers {
        server.set_losses(Losses { response: 1.0, ..Losses::default() });
    }
    assert!(one.try_acquire(NAME, TTL).await.is_none());
    for server in &servers {
        server.set_losses(Losses::default());
    }
    assert!(two.try_acquire(NAME, TTL).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forgets_makes_two_holders_and_starts_its_numbers_over() {
    let (servers, one, two) = two_processes(1);
    let first = one.try_acquire(NAME, TTL).await.unwrap();
    servers[0].restart();
    let second = two.try_acquire(NAME, TTL).await.unwrap();
    assert!(first.is_valid() && second.is_valid());
    assert_eq!(first.fencing(), second.fencing(), "the resource can't tell them apart: not for correctness");
    let (servers, one, two) = two_processes(3);
    let _first = one.try_acquire(NAME, TTL).await.unwrap();
    servers[0].restart();
    assert!(two.try_acquire(NAME, TTL).await.is_none(), "one of three that forgets does no harm");
}
