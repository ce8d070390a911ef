//! The store `kubernetes` with a test server that responds, over TLS, as documented for Kubernetes' API. It checks the
//! requests and the handling of each response, but isn't a cluster.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use flotilla_config::{ExposeSecret, SecretResolver};
use flotilla_secrets::{Cluster, Creation, KubernetesSettings, SecretsSettings, resolvers};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const TOKEN: &str = "service-account-token";

/// The API of one namespace with one secret.
struct Api {
    address: String,
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(certified(&folder.path().join("ca.crt"))));
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that doesn't trust the certificate disconnects here.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = String::new();
                let mut piece = [0; 4096];
                while !is_whole(&request) {
                    match stream.read(&mut piece).await {
                        Ok(more) if more > 0 => request.push_str(&String::from_utf8_lossy(&piece[..more])),
                        _ => break,
                    }
                }
                let (status, body) = answer(&request);
                noted.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { address, folder, asked }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self, token: &str, ca: &str) -> Arc<dyn SecretResolver> {
        let settings = self.settings(token, ca);
        resolvers(&settings).into_iter().find(|resolver| resolver.scheme() == "kubernetes").unwrap()
    }

    fn settings(&self, token: &str, ca: &str) -> SecretsSettings {
        let kubernetes = KubernetesSettings {
            address: Some(self.address.parse().unwrap()),
            ca: Some(self.file(ca)),
            token_path: Some(self.file(token)),
        };
        SecretsSettings { kubernetes, refresh: Duration::from_secs(30).into(), ..SecretsSettings::default() }
    }
}

/// A TLS configuration for 127.0.0.1, whose CA is written to a file.
fn certified(authority: &Path) -> ServerConfig {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(authority, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// Whether the head and the whole body have been received.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn created(request: &str) -> (&'static str, String) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let secret: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(head.to_lowercase().contains("content-type: application/json"));
    assert_eq!(secret["stringData"]["password"], "hunter2");
    match request.split(' ').nth(1).unwrap() {
        "/api/v1/namespaces/shop/secrets" if secret["metadata"]["name"] == "taken" => ("409 Conflict", "{}".to_owned()),
        "/api/v1/namespaces/shop/secrets" => ("201 Created", "{}".to_owned()),
        "/api/v1/namespaces/busy/secrets" => ("503 Service Unavailable", "hunter2".to_owned()),
        _ => ("403 Forbidden", "hunter2".to_owned()),
    }
}

fn answer(request: &str) -> (&'static str, String) {
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    if !request.to_lowercase().contains(&format!("authorization: bearer {TOKEN}\r\n")) {
        return ("401 Unauthorized", "hunter2".to_owned());
    }
    if request.starts_with("POST ") {
        return created(request);
    }
    match request.split(' ').nth(1).unwrap() {
        "/api/v1/namespaces/shop/secrets/orders" => {
            let (user, password) = (encoded("me"), encoded("hunter2"));
            (
                "200 OK",
                format!(r#"{{"kind":"Secret","data":{{"user":"{user}","password":"{password}","bytes":"/w=="}}}}"#),
            )
        }
        "/api/v1/namespaces/other/secrets/orders" => ("403 Forbidden", "hunter2".to_owned()),
        "/api/v1/namespaces/busy/secrets/orders" => ("503 Service Unavailable", "hunter2".to_owned()),
        "/api/v1/namespaces/odd/secrets/orders" => ("200 OK", "hunter2".to_owned()),
        _ => ("404 Not Found", "hunter2".to_owned()),
    }
}

#[tokio::test]
async fn a_key_of_a_secret_is_read_as_the_service_account() {
    let api = Api::start().await;
    let store = api.store("token", "ca.crt");
    let read = store.resolve("kubernetes://shop/orders#password").await.unwrap();
    assert_eq!(read.value.expose_secret(), "hunter2");
    assert_eq!(read.refresh_in, Some(Duration::from_secs(30)));
    let url = store.resolve("kubernetes://shop/orders#postgres://{user}:{password}@db/orders").await.unwrap();
    assert_eq!(url.value.expose_secret(), "postgres://me:hunter2@db/orders");
}

#[tokio::test]
async fn a_replaced_service_account_token_is_read_again() {
    let api = Api::start().await;
    let store = api.store("token", "ca.crt");
    std::fs::write(api.file("token"), "former").unwrap();
    let error = store.resolve("kubernetes://shop/orders#user").await.unwrap_err();
    assert!(error.to_string().contains("refuses the service account's token"), "{error}");
    std::fs::write(api.file("token"), TOKEN).unwrap();
    store.resolve("kubernetes://shop/orders#user").await.unwrap();
}

#[tokio::test]
async fn each_failure_has_its_own_error_which_quotes_no_secret() {
    let api = Api::start().await;
    let store = api.store("token", "ca.crt");
    for (reference, expected, retriable) in [
        ("kubernetes://other/orders#user", "may not get", false),
        ("kubernetes://shop/none#user", "doesn't have", false),
        ("kubernetes://shop/orders#usr", "no field \"usr\"; it has bytes, password, user", false),
        ("kubernetes://shop/orders#bytes", "not text", false),
        ("kubernetes://odd/orders#user", "isn't a secret", true),
        ("kubernetes://busy/orders#user", "503", true),
        ("kubernetes://a/b/c#user", "kubernetes://namespace/name#key", false),
    ] {
        let error = store.resolve(reference).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{reference}: {error}");
        assert_eq!(error.is_retriable(), retriable, "{reference}: {error}");
        let all = format!("{error} {error:?}");
        assert!(!all.contains("hunter2") && !all.contains(TOKEN), "{all}");
    }
    let asked = api.asked.lock().unwrap();
    let busy = asked.iter().filter(|line| line.contains("/busy/")).count();
    assert_eq!(busy, 4, "transient errors are retried a bounded number of times");
}

#[tokio::test]
async fn a_secret_is_created_once_and_an_existing_one_is_unchanged() {
    let api = Api::start().await;
    let cluster = Cluster::new(&api.settings("token", "ca.crt"));
    let secret =
        |name: &str| serde_json::json!({ "metadata": { "name": name }, "stringData": { "password": "hunter2" } });
    assert_eq!(cluster.create_secret("shop", "orders", &secret("orders")).await, Ok(Creation::Created));
    assert_eq!(cluster.create_secret("shop", "taken", &secret("taken")).await, Ok(Creation::Existed));
    for (namespace, expected, attempts) in
        [("other", "may not create the secret orders of namespace other", 1), ("busy", "503", 4)]
    {
        let error = cluster.create_secret(namespace, "orders", &secret("orders")).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let path = format!("POST /api/v1/namespaces/{namespace}/secrets HTTP/1.1");
        assert_eq!(api.asked.lock().unwrap().iter().filter(|line| **line == path).count(), attempts);
    }
}

#[tokio::test]
async fn no_request_is_sent_to_a_server_whose_ca_is_not_trusted() {
    let (api, other) = (Api::start().await, Api::start().await);
    std::fs::copy(other.file("ca.crt"), api.file("other.crt")).unwrap();
    let error = api.store("token", "other.crt").resolve("kubernetes://shop/orders#user").await.unwrap_err();
    assert!(error.to_string().contains("isn't trusted"), "{error}");
    assert!(!error.is_retriable());
    assert!(api.asked.lock().unwrap().is_empty(), "no request was sent");
}
