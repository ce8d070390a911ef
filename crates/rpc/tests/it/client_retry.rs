//! Retries and deadlines: what is repeated, how often, when, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_config::HumanDuration;
use flotilla_rpc::{ChannelBuilder, ClientSettings, Details, RpcError};
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use crate::client_replica::{Act, READ, Replica, TIMEOUT, WRITE, call, call_with, methods, quick, to, watch};

fn unavailable() -> Status {
    RpcError::new(Code::Unavailable, "SHUTTING_DOWN", "not now").into()
}

fn busy(after: Duration) -> Status {
    RpcError::new(Code::ResourceExhausted, "OVERLOADED", "busy").retry_after(after).into()
}

#[tokio::test]
async fn a_repeatable_call_is_repeated_whether_the_error_is_in_the_head_or_in_the_trailers() {
    let replica = Replica::start();
    let channel = to(&[&replica], &quick());
    for act in [Act::RefuseOnce(unavailable()), Act::FailOnce(Code::Unavailable)] {
        let before = replica.calls();
        replica.act(act);
        call(&channel, READ, "the same").await.unwrap();
        assert_eq!(replica.calls() - before, 2);
    }
    assert_eq!(replica.times("the same"), 4);
    replica.act(Act::RefuseOnce(unavailable()));
    watch(&channel, None).await.unwrap().message().await.unwrap();
    assert_eq!(replica.calls(), 6, "so is a stream that has not begun");
}

#[tokio::test]
async fn a_retry_goes_to_another_address() {
    let (bad, good) = (Replica::start(), Replica::start());
    let channel = to(&[&bad, &good], &ClientSettings { eject_after: u32::MAX, retry_attempts: 2, ..quick() });
    while bad.calls() == 0 || good.calls() == 0 {
        call(&channel, READ, "").await.unwrap();
    }
    bad.act(Act::Refuse(unavailable()));
    for _ in 0..10 {
        call(&channel, READ, "").await.unwrap();
    }
}

/// A server that goes away in good order whenever it is called: the last stream that it names is none.
async fn goes_away(listener: TcpListener, called: Arc<AtomicUsize>) {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    // Length, type, flags, stream; RFC 9113, 4.1.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GO_AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    while let Ok((mut stream, _)) = listener.accept().await {
        stream.write_all(&SETTINGS).await.unwrap();
        stream.read_exact(&mut [0; PREFACE]).await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            if head[3] == HEADERS {
                break;
            }
        }
        called.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&GO_AWAY).await.unwrap();
        // Until the client has closed it.
        while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
    }
}

#[tokio::test]
async fn a_call_that_a_server_has_not_begun_is_made_at_another_address_even_if_it_writes() {
    let (replica, called) = (Replica::start(), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{},{}", listener.local_addr().unwrap(), replica.address);
    let leaving = tokio::spawn(goes_away(listener, Arc::clone(&called)));
    let settings = ClientSettings { eject_after: u32::MAX, ..quick() };
    let channel = ChannelBuilder::new(&settings).methods(&methods()).connect(&url).unwrap();
    let mut number = 0;
    while called.load(Ordering::Relaxed) < 3 {
        let message = number.to_string();
        call(&channel, WRITE, &message).await.unwrap();
        assert_eq!(replica.times(&message), 1);
        number += 1;
        assert!(number < 10_000, "the server that leaves is never called");
    }
    leaving.abort();
}

#[tokio::test]
async fn an_error_that_a_retry_cannot_fix_is_not_retried() {
    let replica = Replica::start();
    let channel = to(&[&replica], &quick());
    for code in [Code::NotFound, Code::Internal, Code::InvalidArgument, Code::ResourceExhausted] {
        let before = replica.calls();
        replica.act(Act::RefuseOnce(Status::new(code, "")));
        assert_eq!(call(&channel, READ, "").await.unwrap_err().code(), code);
        assert_eq!(replica.calls() - before, 1);
    }
}

#[tokio::test]
async fn a_call_that_may_not_be_retried_is_sent_once() {
    let mut replica = Replica::start();
    let other = Replica::start();
    let channel = to(&[&replica], &quick());
    for act in [Act::RefuseOnce(unavailable()), Act::FailOnce(Code::Unavailable), Act::RefuseOnce(busy(Duration::ZERO))]
    {
        let before = replica.calls();
        replica.act(act);
        call(&channel, WRITE, "").await.unwrap_err();
        assert_eq!(replica.calls() - before, 1);
    }
    // Nor when the connection breaks under it.
    let channel = to(&[&replica, &other], &quick());
    let calls = replica.calls();
    while replica.calls() == calls || other.calls() == 0 {
        call(&channel, READ, "").await.unwrap();
    }
    replica.act(Act::Slow(Duration::from_secs(60)));
    other.act(Act::Slow(Duration::from_secs(60)));
    let writes: Vec<_> = (0..8)
        .map(|number| {
            let channel = channel.clone();
            tokio::spawn(async move { call(&channel, WRITE, &format!("write {number}")).await })
        })
        .collect();
    let times = |number| {
        let message = format!("write {number}");
        replica.times(&message) + other.times(&message)
    };
    while (0..8).any(|number| times(number) == 0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    other.act(Act::Answer);
    let here: Vec<_> = (0..8).map(|number| replica.times(&format!("write {number}")) == 1).collect();
    assert!(here.iter().any(|here| *here));
    replica.kill();
    for (number, write) in writes.into_iter().enumerate().filter(|(number, _)| here[*number]) {
        let status = write.await.unwrap().unwrap_err();
        assert_eq!(Details::of(&status).reason.as_deref(), Some("CONNECTION_LOST"));
        assert_eq!(other.times(&format!("write {number}")), 0);
    }
}

#[tokio::test]
async fn the_servers_retry_delay_is_honoured() {
    let replica = Replica::start();
    let channel = to(&[&replica], &quick());
    replica.act(Act::RefuseOnce(busy(Duration::from_millis(400))));
    let began = Instant::now();
    call(&channel, READ, "").await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400) && took < TIMEOUT / 2, "{took:?}");
}

#[tokio::test]
async fn no_retry_goes_beyond_the_deadline() {
    let replica = Replica::start();
    let channel = to(&[&replica], &quick());
    call(&channel, READ, "").await.unwrap();
    replica.act(Act::RefuseOnce(busy(TIMEOUT * 2)));
    let mut request = Request::new(Bytes::new());
    request.set_timeout(TIMEOUT);
    let began = Instant::now();
    let status = call_with(&channel, READ, request).await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("OVERLOADED"), "the server's own word");
    assert!(began.elapsed() < TIMEOUT / 2, "told at once: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_retry_sends_the_remaining_time() {
    let replica = Replica::start();
    let channel = to(&[&replica], &quick());
    replica.act(Act::RefuseOnce(busy(Duration::from_millis(300))));
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_secs(60));
    call_with(&channel, READ, request).await.unwrap();
    let left = replica.headers()["grpc-timeout"].to_str().unwrap().to_owned();
    let micros: u64 = left.strip_suffix('u').unwrap_or_else(|| panic!("{left}")).parse().unwrap();
    assert!(micros < 59_700_000, "{left}");
}

#[tokio::test]
async fn the_budget_bounds_what_retries_add() {
    let replica = Replica::start();
    replica.act(Act::Refuse(unavailable()));
    let settings = ClientSettings { retry_pause: HumanDuration::from_millis(1), ..quick() };
    let channel = to(&[&replica], &settings);
    let began = Instant::now();
    for _ in 0..100 {
        join_all((0..10).map(|_| call(&channel, READ, ""))).await;
    }
    let seconds = began.elapsed().as_secs() as usize + 1;
    let retries = replica.calls() - 1000;
    // A fifth of the calls, and a reserve of ten that is filled by one a second.
    assert!(retries >= 190 && retries <= 200 + 10 + seconds, "{retries}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_beyond_the_deadline() {
    let replica = Replica::start();
    let settings = ClientSettings { default_deadline: HumanDuration::from_secs(1), ..quick() };
    let channel = to(&[&replica], &settings);
    let mut first = Request::new(Bytes::new());
    first.set_timeout(TIMEOUT);
    call_with(&channel, READ, first).await.unwrap();
    for (act, path) in [(Act::Slow(TIMEOUT), READ), (Act::Hang, READ), (Act::Hang, WRITE)] {
        replica.act(act);
        let began = Instant::now();
        let status = call(&channel, path, "").await.unwrap_err();
        assert_eq!(Details::of(&status).reason.as_deref(), Some("DEADLINE_EXCEEDED"), "{status:?}");
        assert!(began.elapsed() < TIMEOUT / 2, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_stream_ends_at_its_own_deadline_and_at_no_other() {
    let replica = Replica::start();
    let settings = ClientSettings { default_deadline: HumanDuration::from_millis(100), ..quick() };
    let channel = to(&[&replica], &settings);
    replica.act(Act::Hang);
    let mut bounded = watch(&channel, Some(Duration::from_secs(3))).await.unwrap();
    let mut free = watch(&channel, None).await.unwrap();
    assert!(bounded.message().await.unwrap().is_some());
    let ended = tokio::time::timeout(TIMEOUT, bounded.message()).await.expect("it ends");
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    assert!(free.message().await.unwrap().is_some());
    tokio::time::timeout(Duration::from_millis(300), free.message()).await.unwrap_err();
}
