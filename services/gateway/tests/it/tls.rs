//! The public port with TLS: both versions of HTTP by ALPN, and nothing for those who don't shake hands.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use flotilla_config::HumanDuration;
use flotilla_rpc::tls::{ClientTls, TlsSettings};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::Fixture;

const SOON: Duration = Duration::from_secs(10);

/// A certificate for localhost and the authority behind it.
fn certificate(folder: &TempDir) -> TlsSettings {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let write = |name: &str, content: String| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    TlsSettings {
        certificate: write("gateway.pem", leaf.pem()),
        key: write("gateway.key", key.serialize_pem()),
        authority: write("authority.pem", issuer.pem()),
    }
}

async fn connect(fixture: &Fixture) -> TcpStream {
    TcpStream::connect(fixture.address()).await.unwrap()
}

#[tokio::test]
async fn both_versions_of_http_work_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let tls = certificate(&folder);
    let client = ClientTls::load(&tls).unwrap();
    let fixture = Fixture::with(|settings| settings.process.grpc.tls = Some(tls)).await;
    let request = |uri: &str| Request::get(uri).header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();

    let stream = client.connect(connect(&fixture).await, "localhost").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request("https://localhost/v1/products")).await.unwrap();
    assert_eq!(answer.status(), 200);

    let stream = client.connect_http1(connect(&fixture).await, "localhost").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request("/v1/products")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.is_ok());
}

#[tokio::test]
async fn a_client_that_does_not_complete_the_tls_handshake_is_disconnected_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let tls = certificate(&folder);
    let fixture = Fixture::with(|settings| {
        settings.process.grpc.tls = Some(tls);
        settings.edge.header_timeout = HumanDuration(Duration::from_millis(200));
    })
    .await;
    for begun in [&b""[..], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00"] {
        let mut stream = connect(&fixture).await;
        stream.write_all(begun).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(SOON, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{begun:?} was waited for");
        assert!(!answer.starts_with(b"HTTP"), "{begun:?} was answered in the clear");
    }
}
