//! The store `aws` with a server that implements AWS Secrets Manager's protocol (moto). `make test-aws` starts it and runs
//! this.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use flotilla_config::{ExposeSecret, SecretResolver};
use flotilla_secrets::{AwsSettings, SecretsSettings, resolvers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The server's address. The credentials are in the environment, where the official client looks for them.
fn address() -> String {
    std::env::var("FLOTILLA_TEST_AWS_ADDRESS").expect("FLOTILLA_TEST_AWS_ADDRESS isn't set: run make test-aws")
}

fn store(address: &str) -> Arc<dyn SecretResolver> {
    let aws = AwsSettings { region: Some("eu-central-1".to_owned()), endpoint: Some(address.parse().unwrap()) };
    let settings = SecretsSettings { aws, refresh: Duration::from_secs(300).into(), ..SecretsSettings::default() };
    resolvers(&settings).into_iter().find(|resolver| resolver.scheme() == "aws").unwrap()
}

/// Sends an operator's request; this server doesn't check its signature.
async fn operate(action: &str, body: &str) -> String {
    let address = address();
    let host = address.strip_prefix("http://").unwrap();
    let scope = "Credential=test/20260101/eu-central-1/secretsmanager/aws4_request";
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-target: secretsmanager.{action}\r\n\
         authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none\r\n\
         content-type: application/x-amz-json-1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let work = async {
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(20), work).await.expect("an answer in time");
    assert!(answer.starts_with("HTTP/1.1 200"), "{action}: {answer}");
    answer
}

async fn value(store: &dyn SecretResolver, reference: &str) -> String {
    store.resolve(reference).await.unwrap().value.expose_secret().to_owned()
}

#[tokio::test]
async fn fields_and_plain_text_are_read_by_name_and_by_arn() {
    let secret = r#"{"Name":"shop/orders","SecretString":"{\"user\":\"me\",\"password\":\"p@ss\"}"}"#;
    let made = operate("CreateSecret", secret).await;
    let arn = &made[made.find("arn:aws:").unwrap()..];
    let arn = &arn[..arn.find('"').unwrap()];
    operate("CreateSecret", r#"{"Name":"signing","SecretString":"bare"}"#).await;
    let store = store(&address());
    assert_eq!(value(&*store, "aws://shop/orders#password").await, "p@ss");
    assert_eq!(value(&*store, &format!("aws://{arn}#user")).await, "me");
    assert_eq!(
        value(&*store, "aws://shop/orders#postgres://{user}:{password}@db/orders").await,
        "postgres://me:p%40ss@db/orders"
    );
    assert_eq!(value(&*store, "aws://signing").await, "bare");
}

#[tokio::test]
async fn the_next_read_returns_a_rotated_secret() {
    operate("CreateSecret", r#"{"Name":"rotated","SecretString":"first"}"#).await;
    let store = store(&address());
    assert_eq!(value(&*store, "aws://rotated").await, "first");
    operate("PutSecretValue", r#"{"SecretId":"rotated","SecretString":"second"}"#).await;
    let read = store.resolve("aws://rotated").await.unwrap();
    assert_eq!(read.value.expose_secret(), "second");
    assert_eq!(read.refresh_in, Some(Duration::from_secs(300)));
}

#[tokio::test]
async fn an_error_has_the_stores_code_and_quotes_no_secret() {
    operate("CreateSecret", r#"{"Name":"text","SecretString":"hunter2"}"#).await;
    let address = address();
    for (address, reference, expected, retriable) in [
        (address.as_str(), "aws://none", "ResourceNotFoundException", false),
        (address.as_str(), "aws://text#key", "not a JSON object", false),
        ("http://127.0.0.1:1", "aws://text", "can't be reached", true),
    ] {
        let error = store(address).resolve(reference).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.is_retriable(), retriable, "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
