//! Handshakes: who comes in, who doesn't, and what happens when files change.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use flotilla_rpc::tls::{AcceptedTls, ClientTls, ConnectedTls, ServerTls, TlsError, TlsSettings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use crate::authority::{Authority, EARLIER, Wanted, replace};

/// Longer than files are taken to be unchanged.
const LATER: Duration = Duration::from_secs(2);

type Ends = (io::Result<ConnectedTls<DuplexStream>>, io::Result<AcceptedTls<DuplexStream>>);

async fn meet(client: &ClientTls, server: &ServerTls) -> Ends {
    let (near, far) = duplex(64 * 1024);
    tokio::join!(client.connect(near, "localhost"), server.accept(far))
}

fn server_of(authority: &Authority) -> Arc<ServerTls> {
    ServerTls::load(&authority.service("inventory")).unwrap()
}

/// How the server of `authority` takes a client with these files.
async fn reception(authority: &Authority, client: &TlsSettings) -> io::Result<String> {
    let (_, accepted) = meet(&ClientTls::load(client).unwrap(), &server_of(authority)).await;
    Ok(accepted?.peer.unwrap().service)
}

/// A client that trusts the authority and shows no certificate, and what it offers to speak.
fn stranger(settings: &TlsSettings, protocol: &[u8]) -> tokio_rustls::TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&settings.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config).into()
}

/// A client that presents a certificate without checking it.
fn unchecked(settings: &TlsSettings) -> tokio_rustls::TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&settings.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(&settings.certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&settings.key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config).into()
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

#[tokio::test]
async fn a_peer_is_identified_by_its_certificate() {
    let authority = Authority::new();
    assert_eq!(reception(&authority, &authority.service("orders")).await.unwrap(), "orders");
    assert_eq!(reception(&authority, &authority.service("payments")).await.unwrap(), "payments");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let uris: &[_] = &["spiffe://flotilla/orders"];
    let ends_in = time::Duration::minutes(-1);
    let expired = authority.issue(&Wanted { file: "orders", uris, begins_in: EARLIER, ends_in });
    let (near, far) = duplex(64 * 1024);
    let server = server_of(&authority);
    let (_, accepted) = tokio::join!(unchecked(&expired).connect(localhost(), near), server.accept(far));
    let refusal = accepted.unwrap_err();
    assert!(refusal.to_string().contains("expired"), "{refusal}");
}

#[test]
fn a_certificate_that_is_not_valid_now_is_refused_at_start_up() {
    let authority = Authority::new();
    let uris: &[_] = &["spiffe://flotilla/orders"];
    let minutes = time::Duration::minutes;
    for (begins_in, ends_in, said) in
        [(EARLIER, minutes(-5), "can't be used: it expired 5m"), (minutes(61), minutes(90), "it isn't valid before 1h")]
    {
        let files = authority.issue(&Wanted { file: "orders", uris, begins_in, ends_in });
        let told = [
            ServerTls::load(&files).unwrap_err(),
            ServerTls::public(&files).unwrap_err(),
            ClientTls::load(&files).unwrap_err(),
        ];
        for told in told.map(|error| error.to_string()) {
            assert!(told.contains(said) && told.contains("orders.pem"), "{told}");
        }
    }
    // The issuer is for the peers to judge: the public port's may be any authority.
    let (own, other) = (Authority::new(), Authority::new());
    let foreign = TlsSettings { authority: other.service("gateway").authority, ..own.service("gateway") };
    ServerTls::public(&foreign).unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let (own, other) = (Authority::new(), Authority::new());
    let mut foreign = other.service("orders");
    // The client itself would trust the server.
    foreign.authority = own.service("orders").authority;
    assert!(reception(&own, &foreign).await.is_err());
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let (own, other) = (Authority::new(), Authority::new());
    let (connected, _) = meet(&ClientTls::load(&own.service("orders")).unwrap(), &server_of(&other)).await;
    assert!(connected.is_err());
}

#[tokio::test]
async fn a_certificate_that_names_no_service_or_several_is_refused() {
    let authority = Authority::new();
    for uris in [&[][..], &["spiffe://elsewhere/orders"], &["spiffe://flotilla/orders", "spiffe://flotilla/payments"]] {
        let odd = authority.issue(&Wanted { file: "odd", uris, begins_in: EARLIER, ends_in: time::Duration::hours(1) });
        let refusal = reception(&authority, &odd).await.unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::PermissionDenied, "{uris:?}: {refusal}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_may_use_only_a_public_port() {
    let authority = Authority::new();
    let files = authority.service("gateway");
    let (near, far) = duplex(64 * 1024);
    let server = ServerTls::load(&files).unwrap();
    let (_, accepted) = tokio::join!(stranger(&files, b"h2").connect(localhost(), near), server.accept(far));
    assert!(accepted.is_err());

    let public = ServerTls::public(&files).unwrap();
    for (protocol, is_http2) in [(&b"h2"[..], true), (b"http/1.1", false)] {
        let (near, far) = duplex(64 * 1024);
        let (_, accepted) = tokio::join!(stranger(&files, protocol).connect(localhost(), near), public.accept(far));
        let accepted = accepted.unwrap();
        assert_eq!((accepted.peer, accepted.is_http2), (None, is_http2));
    }
}

#[tokio::test]
async fn a_client_of_the_fleet_may_use_either_protocol_on_a_public_port() {
    let authority = Authority::new();
    let public = ServerTls::public(&authority.service("gateway")).unwrap();
    let client = ClientTls::load(&authority.service("orders")).unwrap();
    let (connected, accepted) = meet(&client, &public).await;
    connected.unwrap();
    assert!(accepted.unwrap().is_http2);
    let (near, far) = duplex(64 * 1024);
    let (connected, accepted) = tokio::join!(client.connect_http1(near, "localhost"), public.accept(far));
    connected.unwrap();
    assert!(!accepted.unwrap().is_http2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_disconnected() {
    let server = server_of(&Authority::new());
    let (_silent, far) = duplex(64);
    let given_up = tokio::time::timeout(Duration::from_secs(11), server.accept(far)).await;
    assert_eq!(given_up.expect("within ten seconds").unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// The end of the certificate that a server shows.
fn shown(connected: &ConnectedTls<DuplexStream>) -> CertificateDer<'static> {
    connected.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test(start_paused = true)]
async fn changed_files_apply_to_new_connections_and_open_ones_continue() {
    let authority = Authority::new();
    let server = server_of(&authority);
    let client = ClientTls::load(&authority.service("orders")).unwrap();
    let (old, old_end) = meet(&client, &server).await;
    let (mut old, mut old_end) = (old.unwrap(), old_end.unwrap().stream);

    authority.service("inventory");
    authority.service("orders");
    tokio::time::advance(LATER).await;
    let (new, accepted) = meet(&client, &server).await;
    assert_ne!(shown(&old), shown(&new.unwrap()), "the server still shows its old certificate");
    let client_shows = accepted.unwrap().stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    let client_showed = old_end.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    assert_ne!(client_shows, client_showed, "the client still shows its old certificate");

    old.write_all(b"still here").await.unwrap();
    old.flush().await.unwrap();
    let mut heard = [0; 10];
    old_end.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still here");
}

#[tokio::test(start_paused = true)]
async fn unusable_files_leave_the_certificate_unchanged() {
    let authority = Authority::new();
    let files = authority.service("inventory");
    let server = ServerTls::load(&files).unwrap();
    let client = ClientTls::load(&authority.service("orders")).unwrap();
    let first = shown(&meet(&client, &server).await.0.unwrap());

    // Half of a pair, then nonsense, then nothing.
    let key = std::fs::read_to_string(authority.service("payments").key).unwrap();
    replace(&files.key, &key);
    for content in [None, Some("nonsense"), Some("")] {
        if let Some(content) = content {
            replace(&files.certificate, content);
        }
        tokio::time::advance(LATER).await;
        assert_eq!(shown(&meet(&client, &server).await.0.unwrap()), first, "{content:?}");
    }
    authority.service("inventory");
    tokio::time::advance(LATER).await;
    assert_ne!(shown(&meet(&client, &server).await.0.unwrap()), first);
}

#[test]
fn unusable_files_are_refused_at_start_up() {
    let authority = Authority::new();
    let good = authority.service("orders");
    let absent = TlsSettings { key: good.key.with_extension("absent"), ..good.clone() };
    assert!(matches!(ServerTls::load(&absent), Err(TlsError::Read { .. })));
    let swapped = TlsSettings { certificate: good.key.clone(), ..good.clone() };
    assert!(matches!(ClientTls::load(&swapped), Err(TlsError::Content { what: "certificate", .. })));
    let mixed = TlsSettings { key: authority.service("payments").key, ..good };
    assert!(matches!(ServerTls::public(&mixed), Err(TlsError::Unusable { .. })));
}
