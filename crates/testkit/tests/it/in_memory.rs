//! All kinds of calls through the layers of both sides, over a pipe.

use std::time::Duration;

use flotilla_auth::Role;
use flotilla_rpc::{AccessRules, Channel, ChannelBuilder, ClientSettings, Details, Server, ServerSettings};
use flotilla_telemetry::{Registry, render};
use flotilla_testkit::{InMemory, TestIdentity, in_memory_with};
use futures::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::echo::{Echo, Text, methods};

const TIMEOUT: Duration = flotilla_testkit::TIMEOUT;

struct World {
    registry: Registry,
    identity: TestIdentity,
    channel: Channel,
    server: InMemory,
}

impl World {
    async fn new() -> Self {
        let (registry, identity) = (Registry::new(), TestIdentity::start().await);
        let rules = AccessRules::of(&methods());
        let server =
            Server::new(&ServerSettings::default(), Some(identity.authenticator()), rules, &registry).add(Echo);
        let client = ChannelBuilder::new(&ClientSettings::default()).methods(&methods());
        let (channel, server) = in_memory_with(server, client);
        Self { registry, identity, channel, server }
    }

    fn client(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone())
    }

    fn signed_in(&self) -> Grpc<Channel> {
        let token = self.identity.token(Uuid::from_u128(7), Role::Customer);
        Grpc::new(self.channel.with_token(&token).unwrap())
    }
}

fn path(method: &str) -> http::uri::PathAndQuery {
    format!("/toy.Echo/{method}").parse().unwrap()
}

#[tokio::test]
async fn a_unary_call_passes_all_layers() {
    let world = World::new().await;
    let answer = world.client().unary(Request::new("tea".to_owned()), path("One"), Text).await.unwrap();
    assert!(answer.metadata().contains_key("x-request-id"));
    assert_eq!(answer.into_inner(), "echo tea");
    let line = "flotilla_rpc_requests_total{code=\"OK\",method=\"One\",service=\"toy.Echo\"} 1";
    assert!(render(&world.registry).contains(line));
    world.server.stop().await;
}

#[tokio::test]
async fn a_server_stream_delivers_each_message_at_once_and_ends_at_a_drain() {
    let world = World::new().await;
    let stream = world.client().server_streaming(Request::new("tea".to_owned()), path("Many"), Text).await;
    let mut stream = stream.unwrap().into_inner();
    for letter in ["t", "e", "a"] {
        assert_eq!(stream.message().await.unwrap().as_deref(), Some(letter));
    }
    world.server.drain();
    let status = timeout(TIMEOUT, stream.message()).await.unwrap().unwrap_err();
    let details = Details::of(&status);
    assert_eq!((status.code(), details.reason.as_deref()), (Code::Unavailable, Some("SERVER_DRAINING")));
    assert!(details.retry_after.is_some());
    timeout(TIMEOUT, world.server.stop()).await.unwrap();
}

#[tokio::test]
async fn a_client_stream_gets_one_response_at_its_end() {
    let world = World::new().await;
    let (mut messages, receiver) = futures::channel::mpsc::channel(1);
    let sending = async move {
        for message in ["one", "two", "three"] {
            messages.send(message.to_owned()).await.unwrap();
        }
    };
    let mut client = world.client();
    let calling = client.client_streaming(Request::new(receiver), path("Gather"), Text);
    let ((), answer) = tokio::join!(sending, calling);
    assert_eq!(answer.unwrap().into_inner(), "one two three");
}

#[tokio::test]
async fn in_a_bidirectional_stream_messages_are_answered_before_the_next_is_sent() {
    let world = World::new().await;
    let (mut messages, receiver) = futures::channel::mpsc::channel(1);
    let mut answers =
        world.signed_in().streaming(Request::new(receiver), path("Talk"), Text).await.unwrap().into_inner();
    for message in ["one", "two"] {
        messages.send(message.to_owned()).await.unwrap();
        let answer = timeout(TIMEOUT, answers.message()).await.unwrap().unwrap();
        assert_eq!(answer, Some(format!("echo {message}")), "before the next is sent");
    }
    messages.send("bad".to_owned()).await.unwrap();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_bidirectional_stream_ends_after_the_clients_last_message() {
    let world = World::new().await;
    let messages = futures::stream::iter(["one", "two"].map(str::to_owned));
    let answers = world.signed_in().streaming(Request::new(messages), path("Talk"), Text).await.unwrap().into_inner();
    let all: Vec<_> = timeout(TIMEOUT, answers.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(all.into_iter().map(Result::unwrap).collect::<Vec<_>>(), ["echo one", "echo two"]);
}

#[tokio::test]
async fn a_stream_without_a_token_is_refused_before_it_begins() {
    let world = World::new().await;
    let messages = futures::stream::pending::<String>();
    let status = world.client().streaming(Request::new(messages), path("Talk"), Text).await.unwrap_err();
    assert_eq!(Details::of(&status).reason.as_deref(), Some("TOKEN_MISSING"));
}

#[tokio::test]
async fn a_stream_that_the_client_drops_ends_at_the_server() {
    let world = World::new().await;
    let stream = world.client().server_streaming(Request::new("t".to_owned()), path("Many"), Text).await;
    let mut stream = stream.unwrap().into_inner();
    stream.message().await.unwrap();
    drop(stream);
    let idle = "flotilla_rpc_in_flight{method=\"Many\",service=\"toy.Echo\"} 0";
    flotilla_testkit::eventually("the stream ends", TIMEOUT, async || render(&world.registry).contains(idle)).await;
}
