//! Many callers, one batch. No server is needed here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_postgres::{GroupCommit, GroupCommitDriver, GroupCommitSettings, Refused};
use futures::FutureExt;
use futures::future::join_all;
use proptest::prelude::*;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::eventually;

/// Batches as they were applied, and a gate that each has to pass.
#[derive(Clone)]
struct Store {
    batches: Arc<Mutex<Vec<Vec<u32>>>>,
    gate: Arc<Semaphore>,
}

impl Store {
    fn new(open: bool) -> Self {
        let gate = Arc::new(Semaphore::new(if open { Semaphore::MAX_PERMITS } else { 0 }));
        Self { batches: Arc::default(), gate }
    }

    fn group(&self, settings: GroupCommitSettings) -> (GroupCommit<u32, u32>, GroupCommitDriver) {
        let store = self.clone();
        GroupCommit::new(settings, move |requests: Vec<u32>| {
            let store = store.clone();
            async move {
                store.batches.lock().unwrap().push(requests.clone());
                store.gate.acquire().await.unwrap().forget();
                assert!(!requests.contains(&13), "unlucky");
                let answers = requests.iter().map(|request| Ok(request * 2));
                if requests.contains(&17) { answers.skip(1).collect() } else { answers.collect() }
            }
            .boxed()
        })
    }

    fn batches(&self) -> Vec<Vec<u32>> {
        self.batches.lock().unwrap().clone()
    }
}

fn sizes(max_batch: usize, queue: usize, writers: usize) -> GroupCommitSettings {
    GroupCommitSettings { max_batch: max_batch.into(), queue, writers }
}

struct Running {
    shutdown: CancellationToken,
    driver: JoinHandle<()>,
}

fn run(driver: GroupCommitDriver) -> Running {
    let shutdown = CancellationToken::new();
    let driver = tokio::spawn(driver.run(shutdown.clone()));
    Running { shutdown, driver }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.driver.await.unwrap();
    }
}

/// Submits a request with an owner of its own.
async fn alone(group: &GroupCommit<u32, u32>, request: u32) -> Result<u32, Refused> {
    group.submit(Uuid::from_u128(request.into()), request).await
}

fn submit(group: &GroupCommit<u32, u32>, request: u32) -> JoinHandle<Result<u32, Refused>> {
    let group = group.clone();
    tokio::spawn(async move { alone(&group, request).await })
}

/// Submits and waits until the request is queued behind those before it.
async fn queued(group: &GroupCommit<u32, u32>, request: u32) -> JoinHandle<Result<u32, Refused>> {
    let before = group.waiting();
    let caller = submit(group, request);
    eventually("the request is queued", || async { group.waiting() > before }).await;
    caller
}

/// Submits and waits until the request is in a batch.
async fn in_batch(store: &Store, group: &GroupCommit<u32, u32>, request: u32) -> JoinHandle<Result<u32, Refused>> {
    let caller = submit(group, request);
    eventually("the request is in a batch", || async {
        store.batches().last().is_some_and(|batch| batch.contains(&request))
    })
    .await;
    caller
}

#[tokio::test]
async fn what_waits_while_a_batch_is_applied_becomes_the_next_batch() {
    let store = Store::new(false);
    let (group, driver) = store.group(sizes(8, 100, 1));
    let running = run(driver);
    let mut callers = vec![in_batch(&store, &group, 0).await];
    for request in 1..=10 {
        callers.push(queued(&group, request).await);
    }
    store.gate.add_permits(100);
    for (request, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.unwrap(), Ok(u32::try_from(request).unwrap() * 2));
    }
    assert_eq!(store.batches(), [vec![0], (1..=8).collect(), vec![9, 10]]);
    running.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let store = Store::new(false);
    let (group, driver) = store.group(sizes(8, 2, 1));
    let running = run(driver);
    let first = in_batch(&store, &group, 1).await;
    let (second, third) = (queued(&group, 2).await, queued(&group, 3).await);
    assert_eq!(alone(&group, 4).await, Err(Refused::Full));
    store.gate.add_permits(100);
    assert_eq!((first.await.unwrap(), second.await.unwrap(), third.await.unwrap()), (Ok(2), Ok(4), Ok(6)));
    running.stop().await;
}

#[tokio::test]
async fn one_owners_flood_makes_another_wait_for_a_part_of_one_batch_and_refuses_only_itself() {
    const FLOOD: Uuid = Uuid::from_u128(1);
    let store = Store::new(false);
    let (group, driver) = store.group(sizes(8, 100, 1));
    let running = run(driver);
    let first = in_batch(&store, &group, 1000).await;
    let mut flood = Vec::new();
    for request in 2000..2025 {
        let caller = group.clone();
        let before = group.waiting();
        flood.push(tokio::spawn(async move { caller.submit(FLOOD, request).await }));
        eventually("the request is queued", || async { group.waiting() > before }).await;
    }
    let beyond = tokio::time::timeout(Duration::from_secs(10), group.submit(FLOOD, 2025)).await;
    assert_eq!(beyond.expect("it is refused at once"), Err(Refused::Full), "a quarter of the queue is its own");
    let other = queued(&group, 3000).await;
    store.gate.add_permits(1000);
    assert_eq!(other.await.unwrap(), Ok(6000));
    for caller in flood {
        caller.await.unwrap().unwrap();
    }
    first.await.unwrap().unwrap();
    // Although queued last, they are in the next batch; the flood gets a quarter of it.
    assert_eq!(store.batches()[..3], [vec![1000], vec![2000, 3000, 2001], vec![2002, 2003]]);
    running.stop().await;
}

#[tokio::test]
async fn a_caller_who_leaves_the_queue_is_dropped_and_one_in_a_batch_is_carried_through() {
    let store = Store::new(false);
    let (group, driver) = store.group(sizes(8, 10, 1));
    let running = run(driver);
    let carried = in_batch(&store, &group, 1).await;
    let leaves = queued(&group, 2).await;
    let stays = queued(&group, 3).await;
    for caller in [carried, leaves] {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    store.gate.add_permits(100);
    assert_eq!(stays.await.unwrap(), Ok(6));
    assert_eq!(store.batches(), [vec![1], vec![3]]);
    running.stop().await;
}

#[tokio::test]
async fn a_batch_that_panics_fails_its_callers_and_the_writer_lives_on() {
    let store = Store::new(true);
    let (group, driver) = store.group(sizes(8, 10, 1));
    let running = run(driver);
    assert_eq!(alone(&group, 13).await, Err(Refused::Failed));
    assert_eq!(alone(&group, 17).await, Err(Refused::Failed), "fewer answers than requests");
    assert_eq!(alone(&group, 1).await, Ok(2));
    running.stop().await;
}

/// Why a request has no response: the store's refusal, or the queue's.
#[derive(Debug, PartialEq, Eq)]
enum Declined {
    Odd,
    Queue(Refused),
}

impl From<Refused> for Declined {
    fn from(refused: Refused) -> Self {
        Self::Queue(refused)
    }
}

#[tokio::test]
async fn a_refusal_reaches_its_own_caller_and_the_rest_of_the_batch_succeeds() {
    let even = |request: u32| if request.is_multiple_of(2) { Ok(request * 2) } else { Err(Declined::Odd) };
    let (group, driver) = GroupCommit::new(sizes(8, 10, 1), move |requests: Vec<u32>| {
        async move { requests.into_iter().map(even).collect() }.boxed()
    });
    let callers: Vec<_> = (1..=3)
        .map(|request| {
            let group = group.clone();
            tokio::spawn(async move { group.submit(Uuid::from_u128(request.into()), request).await })
        })
        .collect();
    eventually("all wait for the same batch", || async { group.waiting() == 3 }).await;
    let running = run(driver);
    let answers = join_all(callers).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(answers, [Err(Declined::Odd), Ok(4), Err(Declined::Odd)]);
    running.stop().await;
    assert_eq!(group.submit(Uuid::nil(), 2).await, Err(Declined::Queue(Refused::Closed)));
}

#[tokio::test]
async fn shutting_down_applies_what_is_queued_and_refuses_what_comes() {
    let store = Store::new(false);
    let (group, driver) = store.group(sizes(2, 10, 2));
    let running = run(driver);
    let mut callers = vec![in_batch(&store, &group, 0).await, in_batch(&store, &group, 1).await];
    for request in 2..=6 {
        callers.push(queued(&group, request).await);
    }
    running.shutdown.cancel();
    store.gate.add_permits(100);
    for (request, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.unwrap(), Ok(u32::try_from(request).unwrap() * 2));
    }
    running.driver.await.unwrap();
    assert_eq!(alone(&group, 7).await, Err(Refused::Closed));
}

#[tokio::test]
async fn a_driver_that_is_dropped_closes_the_queue() {
    let store = Store::new(true);
    let (group, driver) = store.group(sizes(8, 10, 1));
    let waiting = queued(&group, 1).await;
    drop(driver);
    assert_eq!(waiting.await.unwrap(), Err(Refused::Closed));
    assert_eq!(alone(&group, 2).await, Err(Refused::Closed));
    assert!(store.batches().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_request_is_applied_once_and_answered_with_its_own_outcome(
        requests in prop::collection::vec(20_u32..1_000, 1..120),
        max_batch in 1_usize..20,
        writers in 1_usize..5,
        threads in 1_usize..3,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        let store = Store::new(true);
        let answers = runtime.block_on(async {
            let (group, driver) = store.group(sizes(max_batch, 200, writers));
            let running = run(driver);
            let answers = join_all(requests.iter().map(|request| submit(&group, *request))).await;
            running.stop().await;
            answers
        });
        for (request, answer) in requests.iter().zip(answers) {
            prop_assert_eq!(answer.unwrap(), Ok(request * 2));
        }
        let batches = store.batches();
        prop_assert!(batches.iter().all(|batch| (1..=max_batch).contains(&batch.len())));
        prop_assert_eq!(counted(batches.iter().flatten()), counted(&requests));
    }
}

fn counted<'a>(requests: impl IntoIterator<Item = &'a u32>) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for request in requests {
        *counts.entry(*request).or_default() += 1;
    }
    counts
}
