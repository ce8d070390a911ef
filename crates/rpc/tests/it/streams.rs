//! Streams: how the drain, deadlines and panics end them, each with a status.

use std::time::Duration;

use flotilla_rpc::Details;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use crate::pipes::{Toy, settings, stock};

type Stock = flotilla_proto::inventory::v1::Stock;

/// Asserts that this is what tells a client to reconnect.
fn assert_drained(status: &Status) {
    let details = Details::of(status);
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(details.reason.as_deref(), Some("SERVER_DRAINING"), "{status:?}");
    assert!(details.retry_after.is_some(), "{status:?}");
}

async fn next(stream: &mut Streaming<Stock>) -> Result<Option<Stock>, Status> {
    tokio::time::timeout(Duration::from_secs(120), stream.message()).await.expect("in time")
}

#[tokio::test]
async fn a_drain_ends_a_stream_from_the_server_and_tells_the_client_to_reconnect() {
    let toy = Toy::start(settings()).await;
    let mut stream = toy.down(stock("hang")).await.unwrap();
    for _ in 0..2 {
        next(&mut stream).await.unwrap().unwrap();
    }
    toy.shutdown.cancel();
    assert_drained(&next(&mut stream).await.unwrap_err());
    toy.until(|seen| seen.open == 0).await;
    toy.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_ends_a_busy_stream_and_one_that_has_not_begun() {
    let toy = Toy::start(settings()).await;
    let mut flood = toy.down(stock("flood")).await.unwrap();
    next(&mut flood).await.unwrap().unwrap();
    let channel = toy.channel.clone();
    let silent = {
        let toy_channel = channel;
        tokio::spawn(async move {
            let mut client = tonic::client::Grpc::new(toy_channel);
            client.ready().await.unwrap();
            let path = http::uri::PathAndQuery::from_static("/toy.v1.Pipes/Down");
            let codec = flotilla_proto::codec::StrictCodec::<Stock, Stock>::default();
            client.server_streaming(Request::new(stock("silent")), path, codec).await.map(drop)
        })
    };
    toy.until(|seen| seen.open == 2).await;
    toy.shutdown.cancel();
    let ended = loop {
        if let Err(status) = next(&mut flood).await {
            break status;
        }
    };
    assert_drained(&ended);
    assert_drained(&silent.await.unwrap().unwrap_err());
    toy.until(|seen| seen.open == 0).await;
    toy.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_lets_a_stream_from_the_client_finish_what_it_has_received() {
    let toy = Toy::start(settings()).await;
    let (items, stream) = mpsc::channel(4);
    for _ in 0..3 {
        items.send(stock("item")).await.unwrap();
    }
    let until = toy.until(|seen| seen.received == 3);
    let drained = async {
        until.await;
        toy.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(toy.up(ReceiverStream::new(stream)), drained);
    assert_drained(&answer.unwrap_err());
    let seen = toy.until(|seen| seen.open == 0).await;
    assert_eq!((seen.received, seen.ended.as_deref()), (3, Some("the server is shutting down; call again")));
    drop(items);
    toy.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_ends_a_stream_both_ways() {
    let toy = Toy::start(settings()).await;
    let (items, stream) = mpsc::channel(4);
    items.send(stock("tea")).await.unwrap();
    let mut echo = toy.both(ReceiverStream::new(stream)).await.unwrap();
    assert_eq!(next(&mut echo).await.unwrap().unwrap().name, "tea");
    toy.shutdown.cancel();
    assert_drained(&next(&mut echo).await.unwrap_err());
    toy.until(|seen| seen.open == 0).await;
    toy.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_ends_by_itself_keeps_its_own_status() {
    let toy = Toy::start(settings()).await;
    let mut stream = toy.down(stock("end")).await.unwrap();
    for _ in 0..2 {
        next(&mut stream).await.unwrap().unwrap();
    }
    assert_eq!(next(&mut stream).await.unwrap_err().code(), Code::DataLoss);
    let count = toy.up(futures::stream::iter([stock("a"), stock("b")])).await.unwrap();
    assert_eq!(count.name, "2");
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_stream_affects_only_that_stream() {
    let toy = Toy::start(settings()).await;
    let mut other = toy.both(futures::stream::iter([stock("tea")]).chain(futures::stream::pending())).await.unwrap();
    assert!(next(&mut other).await.unwrap().is_some());
    let mut stream = toy.down(stock("panic")).await.unwrap();
    for _ in 0..2 {
        next(&mut stream).await.unwrap().unwrap();
    }
    let status = next(&mut stream).await.unwrap_err();
    assert_eq!((status.code(), Details::of(&status).reason.as_deref()), (Code::Internal, Some("INTERNAL")));
    assert!(!status.message().contains("bug"), "nothing of the cause is told");
    assert_eq!(toy.one(stock("on")).await.unwrap().name, "on", "on the same connection");
    assert!(flotilla_telemetry::render(&toy.registry).contains("flotilla_rpc_panics_total 1"));
}

#[tokio::test]
async fn a_stream_ends_at_the_deadline_that_its_client_gave_it_and_its_work_stops() {
    let toy = Toy::start(settings()).await;
    let mut request = Request::new(stock("hang"));
    // As a raw header: the client's own clock shall not be what ends the stream.
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let mut stream = toy.down(request).await.unwrap();
    for _ in 0..2 {
        let left = next(&mut stream).await.unwrap().unwrap().on_hand;
        assert!((1..=300).contains(&left), "the stream knows its deadline: {left}");
    }
    let status = next(&mut stream).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    toy.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn a_call_that_its_client_cancels_stops() {
    let toy = Toy::start(settings()).await;
    // The call is dropped as soon as it is known to run.
    tokio::select! {
        ended = toy.one(stock("wait")) => panic!("it ended: {ended:?}"),
        _ = toy.until(|seen| seen.open == 1) => {}
    }
    toy.until(|seen| seen.open == 0).await;
    let stream = toy.down(stock("hang")).await.unwrap();
    toy.until(|seen| seen.open == 1).await;
    drop(stream);
    toy.until(|seen| seen.open == 0).await;
}
