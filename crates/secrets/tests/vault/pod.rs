//! Logging in as a pod. Vault asks Kubernetes whether a service account's token is genuine. This test responds in place of
//! Kubernetes, so it checks this crate and Vault, but not a cluster.

use std::time::Duration;

use flotilla_config::ExposeSecret;
use flotilla_secrets::{VaultAuth, VaultSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::bao::Bao;
use crate::logins::{readable, store};

/// A token as Kubernetes signs them: `{"alg":"RS256"}` and the claims of `system:serviceaccount:shop:orders`.
fn service_account(name: &str) -> String {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = format!(
        r#"{{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:shop:{name}","iat":1700000000,"nbf":1700000000,"exp":4102444800,"kubernetes.io":{{"namespace":"shop","serviceaccount":{{"name":"{name}","uid":"u-1"}}}}}}"#
    );
    format!("{}.{}.{}", part(r#"{"alg":"RS256","kid":"k"}"#), part(&claims), part("signature"))
}

/// A token reviewer that accepts every token as `shop/orders`.
async fn reviewer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 16 * 1024];
            let mut read = 0;
            while !String::from_utf8_lossy(&request[..read]).contains("\"spec\"") {
                match stream.read(&mut request[read..]).await {
                    Ok(more) if more > 0 => read += more,
                    _ => break,
                }
            }
            let body = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"user":{"username":"system:serviceaccount:shop:orders","uid":"u-1","groups":["system:serviceaccounts","system:authenticated"]}}}"#;
            let head = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            let _ = stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_pod_logs_in_with_its_service_account_and_another_account_is_refused() {
    let bao = Bao::running();
    let (reference, path) = readable(&bao).await;
    let mount = bao.name("kubernetes");
    bao.run(&["auth", "enable", &format!("-path={mount}"), "kubernetes"]).await;
    let host = format!("kubernetes_host={}", reviewer().await);
    let config = format!("auth/{mount}/config");
    // Required by Vault, although the reviewer uses plain HTTP.
    let key = rcgen::generate_simple_self_signed(vec!["kubernetes".to_owned()]).unwrap();
    let authority = format!("kubernetes_ca_cert={}", key.cert.pem());
    bao.run(&["write", &config, &host, &authority, "token_reviewer_jwt=reviewer", "disable_iss_validation=true"]).await;
    let policies = format!("token_policies={}", bao.may_read(&[&path]).await);
    let role = format!("auth/{mount}/role/orders");
    bao.run(&[
        "write",
        &role,
        "bound_service_account_names=orders",
        "bound_service_account_namespaces=shop",
        &policies,
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let settings = |name: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, service_account(name)).unwrap();
        VaultSettings {
            auth: VaultAuth::Kubernetes,
            auth_mount: Some(mount.clone()),
            role: Some("orders".to_owned()),
            service_account: Some(file),
            ..VaultSettings::default()
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(20), store(&bao, settings("orders")).resolve(&reference)).await;
    assert_eq!(read.unwrap().unwrap().value.expose_secret(), "value");
    let error = store(&bao, settings("payments")).resolve(&reference).await.unwrap_err();
    assert!(error.to_string().contains("refuses the login with kubernetes"), "{error}");
}
