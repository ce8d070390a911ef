//! Connections that are slow, silent or too many.

use std::time::Duration;

use flotilla_config::HumanDuration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::Fixture;

const SOON: Duration = Duration::from_secs(10);

async fn ends(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn a_client_that_sends_headers_too_slowly_is_disconnected() {
    let header_timeout = HumanDuration(Duration::from_millis(200));
    let fixture = Fixture::with(|settings| settings.edge.header_timeout = header_timeout).await;
    for begun in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(fixture.address()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert!(ends(stream).await, "{begun:?} was waited for");
    }
}

#[tokio::test]
async fn input_that_is_not_http_is_answered_or_disconnected() {
    let fixture = Fixture::start().await;
    for rubbish in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\0\0\0\0\0\0"]
    {
        let mut stream = TcpStream::connect(fixture.address()).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(ends(stream).await, "{rubbish:?}");
    }
    assert_eq!(fixture.call("GET /").send().await.status, 200);
}

#[tokio::test]
async fn huge_headers_are_refused() {
    let fixture = Fixture::start().await;
    let huge = "x".repeat(100_000);
    let reply = fixture.call("GET /").header("x-huge", &huge).send().await;
    assert_eq!(reply.status, 431);
}

#[tokio::test]
async fn a_connection_serves_many_requests_one_after_another() {
    let fixture = Fixture::start().await;
    let mut stream = TcpStream::connect(fixture.address()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut seen = vec![0; 12];
        timeout(SOON, stream.read_exact(&mut seen)).await.unwrap().unwrap();
        assert_eq!(seen, b"HTTP/1.1 404");
        let mut rest = vec![0; 4096];
        timeout(SOON, stream.read(&mut rest)).await.unwrap().unwrap();
    }
}
