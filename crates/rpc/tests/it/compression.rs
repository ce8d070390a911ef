//! Compressed requests and responses, over a real connection with tonic's own client.

use flotilla_proto::codec::StrictCodec;
use flotilla_proto::inventory::v1::Stock;
use flotilla_rpc::{Details, ServerSettings};
use http::uri::PathAndQuery;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Code, Request, Response, Status};

use crate::pipes::{Toy, settings, stock};

async fn packed(toy: &Toy, message: Stock) -> Result<Response<Stock>, Status> {
    let mut client = tonic::client::Grpc::new(toy.channel.clone()).send_compressed(Gzip).accept_compressed(Gzip);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/toy.v1.Pipes/One");
    client.unary(Request::new(message), path, StrictCodec::<Stock, Stock>::default()).await
}

#[tokio::test]
async fn a_compressed_call_is_accepted_and_answered_compressed() {
    let toy = Toy::start(settings()).await;
    for length in [3, 100_000] {
        let answer = packed(&toy, stock("x".repeat(length))).await.unwrap();
        assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), "gzip");
        assert_eq!(answer.into_inner().name.len(), length);
    }
}

#[tokio::test]
async fn a_client_that_does_not_accept_gzip_gets_it_uncompressed() {
    let toy = Toy::start(settings()).await;
    let mut client = tonic::client::Grpc::new(toy.channel.clone()).send_compressed(Gzip);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/toy.v1.Pipes/One");
    let codec = StrictCodec::<Stock, Stock>::default();
    let answer = client.unary(Request::new(stock("x".repeat(5000))), path, codec).await.unwrap();
    assert!(answer.metadata().get("grpc-encoding").is_none());
    assert_eq!(answer.into_inner().name.len(), 5000);
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_fills_the_memory() {
    let toy = Toy::start(ServerSettings { max_message_bytes: 100_000, ..settings() }).await;
    assert_eq!(packed(&toy, stock("x".repeat(99_000))).await.unwrap().into_inner().name.len(), 99_000);
    let status = packed(&toy, stock("x".repeat(50_000_000))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(Details::of(&status).reason.as_deref(), Some("MESSAGE_TOO_LARGE"), "{status:?}");
}

#[tokio::test]
async fn an_unknown_compression_is_refused_with_the_supported_ones() {
    let toy = Toy::start(settings()).await;
    let mut request = Request::new(stock("tea"));
    request.metadata_mut().insert("grpc-encoding", "snappy".parse().unwrap());
    let status = toy.one(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    assert_eq!(Details::of(&status).reason.as_deref(), Some("COMPRESSION_UNKNOWN"));
    assert_eq!(status.metadata().get("grpc-accept-encoding").unwrap(), "gzip,identity");
}

#[tokio::test]
async fn a_compressed_stream_arrives_completely() {
    let toy = Toy::start(ServerSettings { compress_above_bytes: flotilla_config::ByteSize(1000), ..settings() }).await;
    let mut client = tonic::client::Grpc::new(toy.channel.clone()).send_compressed(Gzip).accept_compressed(Gzip);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/toy.v1.Pipes/Both");
    let lengths = [1, 5000, 0, 999, 200_000, 7];
    let items = futures::stream::iter(lengths.map(|length| stock("y".repeat(length))));
    let codec = StrictCodec::<Stock, Stock>::default();
    let mut echo = client.streaming(Request::new(items), path, codec).await.unwrap().into_inner();
    for length in lengths {
        assert_eq!(echo.message().await.unwrap().unwrap().name.len(), length);
    }
    assert!(echo.message().await.unwrap().is_none());
}
