//! One channel, many callers: a caller that leaves streams unread, opens them without end or cancels them blocks no
//! other.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_proto::codec::StrictCodec;
use flotilla_proto::inventory::v1::Stock;
use flotilla_proto::policy::{Idempotency, MethodPolicy};
use flotilla_rpc::{Channel, ChannelBuilder, ClientSettings, Details, ServerSettings};
use futures::StreamExt;
use futures::future::join_all;
use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::pipes::{Toy, settings, stock};

/// Longer than any step takes; a failing test fails by this timeout.
const TIMEOUT: Duration = Duration::from_secs(10);

fn methods() -> Vec<MethodPolicy> {
    let method = |name: &str, client_streaming, server_streaming| MethodPolicy {
        service: "toy.v1.Pipes".to_owned(),
        method: name.to_owned(),
        path: format!("/toy.v1.Pipes/{name}"),
        client_streaming,
        server_streaming,
        access: None,
        peers: Vec::new(),
        deadline: None,
        idempotency: Idempotency::Unknown,
    };
    vec![
        method("One", false, false),
        method("Down", false, true),
        method("Up", true, false),
        method("Both", true, true),
    ]
}

/// A channel without retries, to observe the connections.
fn to(toy: &Toy, settings: &ClientSettings) -> Channel {
    let settings = ClientSettings { retry_attempts: 1, ..settings.clone() };
    ChannelBuilder::new(&settings).methods(&methods()).connect(&toy.url).unwrap()
}

async fn one(channel: &Channel, name: &str) -> Result<Stock, Status> {
    let path = PathAndQuery::from_static("/toy.v1.Pipes/One");
    let call = async {
        let mut client = Grpc::new(channel.clone());
        client.ready().await?;
        client.unary(Request::new(stock(name)), path, StrictCodec::<Stock, Stock>::default()).await
    };
    call.await.map(Response::into_inner)
}

async fn answered(channel: &Channel) {
    let answer = timeout(TIMEOUT, one(channel, "tea")).await.expect("a call is answered while streams go on");
    assert_eq!(answer.unwrap().name, "tea");
}

async fn down(channel: &Channel, name: &str) -> Result<Streaming<Stock>, Status> {
    let path = PathAndQuery::from_static("/toy.v1.Pipes/Down");
    let begun = async {
        let mut client = Grpc::new(channel.clone());
        client.ready().await?;
        client.server_streaming(Request::new(stock(name)), path, StrictCodec::<Stock, Stock>::default()).await
    };
    timeout(TIMEOUT, begun).await.expect("a stream begins or is refused").map(Response::into_inner)
}

async fn next(stream: &mut Streaming<Stock>) -> Stock {
    timeout(TIMEOUT, stream.message()).await.expect("in time").unwrap().unwrap()
}

#[tokio::test]
async fn unread_streams_block_neither_calls_nor_other_streams() {
    for compress_above in [0, 1] {
        let compress_above_bytes = flotilla_config::ByteSize(compress_above);
        let toy = Toy::start(ServerSettings { compress_above_bytes, ..settings() }).await;
        let channel = to(&toy, &ClientSettings::default());
        let unread = join_all((0..32).map(|_| down(&channel, "flood"))).await;
        // When a reader gets more than the window, the server has sent everything that the unread streams' windows
        // allow.
        let mut read = down(&channel, "flood").await.unwrap();
        for _ in 0..20_000 {
            next(&mut read).await;
        }
        answered(&channel).await;
        let mut late = down(&channel, "hang").await.unwrap();
        assert_eq!(next(&mut late).await.name, "item");
        assert!(unread.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn an_unread_upload_blocks_no_other() {
    let toy = Toy::start(settings()).await;
    let channel = to(&toy, &ClientSettings::default());
    let mut stuck = Vec::new();
    for _ in 0..32 {
        // The echo isn't read, so the handler stops reading.
        let items = futures::stream::repeat_with(|| stock("x".repeat(1000)));
        let path = PathAndQuery::from_static("/toy.v1.Pipes/Both");
        let mut client = Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let begun = client.streaming(Request::new(items), path, StrictCodec::<Stock, Stock>::default());
        stuck.push(timeout(TIMEOUT, begun).await.expect("begun").unwrap());
    }
    let items = futures::stream::iter(vec![stock("x".repeat(1000)); 5000]);
    let path = PathAndQuery::from_static("/toy.v1.Pipes/Up");
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let up = client.client_streaming(Request::new(items), path, StrictCodec::<Stock, Stock>::default());
    let count = timeout(TIMEOUT, up).await.expect("five megabytes pass").unwrap().into_inner();
    assert_eq!(count.name, "5000");
    answered(&channel).await;
}

#[tokio::test]
async fn streams_beyond_the_servers_limit_of_one_connection_get_another() {
    let toy = Toy::start(ServerSettings { max_calls_per_connection: 8, ..settings() }).await;
    let channel = to(&toy, &ClientSettings::default());
    let mut streams = join_all((0..50).map(|_| down(&channel, "hang"))).await;
    for stream in &mut streams {
        assert_eq!(next(stream.as_mut().unwrap()).await.name, "item");
    }
    answered(&channel).await;
}

#[tokio::test]
async fn a_stream_beyond_all_connections_is_refused_at_once_and_accepted_when_another_has_ended() {
    let toy = Toy::start(settings()).await;
    let bounds = ClientSettings { stream_connections: 2, streams_per_connection: 8, ..ClientSettings::default() };
    let channel = to(&toy, &bounds);
    let mut streams = join_all((0..16).map(|_| down(&channel, "hang"))).await;
    assert!(streams.iter().all(Result::is_ok));
    let refused = down(&channel, "hang").await.unwrap_err();
    let details = Details::of(&refused);
    assert_eq!((refused.code(), details.reason.as_deref()), (Code::ResourceExhausted, Some("OVERLOADED")));
    assert!(details.retry_after.is_some());
    answered(&channel).await;
    drop(streams.pop());
    down(&channel, "hang").await.expect("the place of one that has ended");
}

#[tokio::test]
async fn calls_beyond_the_servers_limit_of_one_connection_do_not_wait_for_it() {
    let toy = Toy::start(ServerSettings { max_calls_per_connection: 8, ..settings() }).await;
    let channel = to(&toy, &ClientSettings { call_connections: 2, ..ClientSettings::default() });
    let waiting: Vec<_> = (0..15)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { one(&channel, "wait").await })
        })
        .collect();
    toy.until(|seen| seen.open == 15).await;
    answered(&channel).await;
    let last = tokio::spawn({
        let channel = channel.clone();
        async move { one(&channel, "wait").await }
    });
    toy.until(|seen| seen.open == 16).await;
    let refused = timeout(TIMEOUT, one(&channel, "tea")).await.expect("at once").unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    waiting.into_iter().chain([last]).for_each(|call| call.abort());
}

#[tokio::test]
async fn callers_that_cancel_do_not_close_the_connection_of_others() {
    let long = HumanDuration::from_secs(600);
    let toy = Toy::start(ServerSettings { default_deadline: long, ..settings() }).await;
    let channel = to(&toy, &ClientSettings { default_deadline: long, ..ClientSettings::default() });
    let honest = tokio::spawn({
        let channel = channel.clone();
        async move { one(&channel, "wait").await }
    });
    toy.until(|seen| seen.open == 1).await;
    // A few hundred calls at a time are sent and cancelled before the server, on this same thread, processes them; and
    // streams are cancelled while the server still sends.
    for _ in 0..5 {
        let calls = (0..300).map(|_| async {
            let mut call = Box::pin(one(&channel, "wait"));
            for _ in 0..4 {
                let _pending = futures::poll!(&mut call);
                tokio::task::yield_now().await;
            }
        });
        join_all(calls).await;
        let mut streams = join_all((0..50).map(|_| down(&channel, "flood"))).await;
        join_all(streams.iter_mut().flatten().map(StreamExt::next)).await;
    }
    answered(&channel).await;
    assert!(!honest.is_finished(), "{:?}", honest.await);
    honest.abort();
}
