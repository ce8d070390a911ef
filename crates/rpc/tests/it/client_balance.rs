//! The balancer: lazy connections, all addresses of a name, replicas that come, go and come back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_rpc::{Channel, ChannelBuilder, ClientSettings, Details};
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use crate::client_replica::{Act, READ, Replica, TIMEOUT, WRITE, call, methods, quick, to, watch};

/// Who answers so many calls made one after another.
async fn answers(channel: &Channel, calls: usize) -> HashMap<u16, usize> {
    let mut counts = HashMap::new();
    for _ in 0..calls {
        *counts.entry(call(channel, READ, "").await.unwrap()).or_default() += 1;
    }
    counts
}

/// Waits until each of `replicas` answers a fair part of the calls.
async fn spread(channel: &Channel, replicas: &[&Replica]) {
    let began = Instant::now();
    loop {
        let counts = answers(channel, 90).await;
        let fair = 90 / replicas.len() / 3;
        if replicas.iter().all(|replica| counts.get(&replica.address.port()).is_some_and(|count| *count >= fair)) {
            return;
        }
        assert!(began.elapsed() < TIMEOUT, "{counts:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A channel to the addresses that the name has at the moment.
fn named(addresses: &Arc<Mutex<Vec<SocketAddr>>>, settings: &ClientSettings) -> Channel {
    let addresses = Arc::clone(addresses);
    let resolver = move |host: &str, _: u16| {
        assert_eq!(host, "toy.fleet");
        std::future::ready(Ok(addresses.lock().clone()))
    };
    ChannelBuilder::new(settings).methods(&methods()).resolver(resolver).connect("http://toy.fleet:1").unwrap()
}

#[tokio::test]
async fn nothing_is_connected_before_the_first_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = ClientSettings { connect_timeout: HumanDuration::from_millis(100), ..quick() };
    let url = format!("http://{}", listener.local_addr().unwrap());
    let channel = ChannelBuilder::new(&settings).methods(&methods()).connect(&url).unwrap();
    timeout(Duration::from_millis(100), listener.accept()).await.unwrap_err();
    let status = call(&channel, READ, "").await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("UNREACHABLE"), "{status:?}");
    timeout(TIMEOUT, listener.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_down_fails_at_once_and_is_found_when_it_is_up() {
    let mut replica = Replica::start();
    replica.kill();
    let channel = to(&[&replica], &quick());
    let began = Instant::now();
    let status = call(&channel, WRITE, "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(began.elapsed() < TIMEOUT / 2, "not at its deadline: {:?}", began.elapsed());
    replica.run();
    call(&channel, WRITE, "").await.unwrap();
}

#[tokio::test]
async fn calls_are_spread_over_a_list_of_addresses() {
    let replicas = [Replica::start(), Replica::start(), Replica::start()];
    let replicas: Vec<_> = replicas.iter().collect();
    spread(&to(&replicas, &quick()), &replicas).await;
}

#[tokio::test]
async fn a_busy_replica_gets_fewer_calls() {
    let (idle, busy) = (Replica::start(), Replica::start());
    let channel = to(&[&idle, &busy], &quick());
    spread(&channel, &[&idle, &busy]).await;
    busy.act(Act::Slow(Duration::from_millis(200)));
    let before = (idle.calls(), busy.calls());
    let worker = async || {
        for _ in 0..50 {
            call(&channel, READ, "").await.unwrap();
        }
    };
    join_all((0..4).map(|_| worker())).await;
    let (idle, busy) = (idle.calls() - before.0, busy.calls() - before.1);
    assert!(busy * 4 < idle, "{busy} {idle}");
}

/// Readers and writers hammer the channel; what they got is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_one_of_three_replicas_under_load_fails_no_repeatable_call_and_repeats_no_other() {
    let mut replicas = [Replica::start(), Replica::start(), Replica::start()];
    replicas.iter().for_each(|replica| replica.act(Act::Slow(Duration::from_millis(3))));
    let channel = to(&replicas.iter().collect::<Vec<_>>(), &quick());
    spread(&channel, &replicas.iter().collect::<Vec<_>>()).await;
    let (done, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..48)
        .map(|worker| {
            let (channel, done, lost) = (channel.clone(), Arc::clone(&done), Arc::clone(&lost));
            tokio::spawn(async move {
                for number in 0..100 {
                    call(&channel, READ, "").await.unwrap();
                    match call(&channel, WRITE, &format!("{worker}-{number}")).await {
                        Ok(_) => {}
                        Err(status) if status.code() == Code::Unavailable => _ = lost.fetch_add(1, Ordering::Relaxed),
                        Err(status) => panic!("{status:?}"),
                    }
                    done.fetch_add(2, Ordering::Relaxed);
                }
            })
        })
        .collect();
    while done.load(Ordering::Relaxed) < 1500 {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(replicas[0].calls() > 100);
    replicas[0].kill();
    for worker in workers {
        worker.await.unwrap();
    }
    for (worker, number) in (0..48).flat_map(|worker| (0..100).map(move |number| (worker, number))) {
        let times: usize = replicas.iter().map(|replica| replica.times(&format!("{worker}-{number}"))).sum();
        assert!(times <= 1, "{worker}-{number} {times}");
    }
    // Those in flight at the killed one, and no more.
    assert!(lost.load(Ordering::Relaxed) <= 48, "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_drains_under_load_loses_no_call() {
    let (one, other) = (Replica::start(), Replica::start());
    let channel = to(&[&one, &other], &quick());
    spread(&channel, &[&one, &other]).await;
    let done = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..32)
        .map(|_| {
            let (channel, done) = (channel.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                for _ in 0..100 {
                    call(&channel, WRITE, "").await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    while done.load(Ordering::Relaxed) < 1000 {
        sleep(Duration::from_millis(1)).await;
    }
    one.drain();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(answers(&channel, 20).await[&other.address.port()], 20);
}

#[tokio::test]
async fn a_replica_that_comes_back_gets_its_share_again() {
    let (mut one, other) = (Replica::start(), Replica::start());
    let channel = to(&[&one, &other], &quick());
    spread(&channel, &[&one, &other]).await;
    one.kill();
    assert_eq!(answers(&channel, 50).await[&other.address.port()], 50);
    // Long enough for many attempts to reconnect.
    sleep(Duration::from_millis(1500)).await;
    one.run();
    spread(&channel, &[&one, &other]).await;
}

/// With the default settings, which resolve names every five seconds.
#[tokio::test]
async fn load_spreads_when_one_replica_becomes_three() {
    assert!(ClientSettings::default().resolve_interval.0 <= Duration::from_secs(5));
    let replicas = [Replica::start(), Replica::start(), Replica::start()];
    let addresses = Arc::new(Mutex::new(vec![replicas[0].address]));
    let channel = named(&addresses, &ClientSettings::default());
    assert_eq!(answers(&channel, 30).await.len(), 1);
    // Lookups that the beginning has caused are over.
    sleep(Duration::from_secs(1)).await;
    addresses.lock().extend([replicas[1].address, replicas[2].address]);
    spread(&channel, &replicas.iter().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_name_is_looked_up_again_when_its_server_is_gone() {
    let (mut one, other) = (Replica::start(), Replica::start());
    let addresses = Arc::new(Mutex::new(vec![one.address]));
    let settings = ClientSettings { resolve_interval: HumanDuration::from_secs(3600), ..quick() };
    let channel = named(&addresses, &settings);
    answers(&channel, 3).await;
    // Lookups that the beginning has caused are over.
    sleep(Duration::from_secs(1)).await;
    *addresses.lock() = vec![other.address];
    one.kill();
    let began = Instant::now();
    while call(&channel, READ, "").await.is_err() {
        assert!(began.elapsed() < TIMEOUT);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_removed_address_gets_no_more_calls_and_finishes_those_in_flight() {
    let (one, other) = (Replica::start(), Replica::start());
    let addresses = Arc::new(Mutex::new(vec![one.address]));
    let channel = named(&addresses, &quick());
    one.act(Act::Slow(Duration::from_secs(2)));
    let slow = tokio::spawn({
        let channel = channel.clone();
        async move { call(&channel, WRITE, "").await }
    });
    while one.calls() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    *addresses.lock() = vec![other.address];
    let began = Instant::now();
    while call(&channel, READ, "").await.unwrap() != other.address.port() {
        assert!(began.elapsed() < TIMEOUT);
    }
    assert_eq!(answers(&channel, 20).await.len(), 1);
    assert_eq!(slow.await.unwrap().unwrap(), one.address.port());
    // And when it comes back, it is taken back.
    one.act(Act::Answer);
    addresses.lock().push(one.address);
    spread(&channel, &[&one, &other]).await;
}

#[tokio::test]
async fn a_name_without_addresses_fails_and_is_found_when_it_has_some() {
    let replica = Replica::start();
    let addresses = Arc::new(Mutex::new(Vec::new()));
    let channel = named(&addresses, &quick());
    let status = call(&channel, READ, "").await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("UNREACHABLE"), "{status:?}");
    addresses.lock().push(replica.address);
    call(&channel, READ, "").await.unwrap();
}

#[tokio::test]
async fn a_stream_outlives_its_channel() {
    let replica = Replica::start();
    replica.act(Act::Hang);
    let channel = to(&[&replica], &quick());
    let mut stream = watch(&channel, None).await.unwrap();
    drop(channel);
    assert!(stream.message().await.unwrap().is_some());
    timeout(Duration::from_millis(200), stream.message()).await.unwrap_err();
    drop(replica);
    let status = timeout(TIMEOUT, stream.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}
