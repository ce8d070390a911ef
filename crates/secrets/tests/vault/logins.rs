//! Logins: how they are made, renewed and replaced.

use std::sync::Arc;
use std::time::Duration;

use flotilla_config::{ExposeSecret, SecretResolver};
use flotilla_secrets::{SecretsSettings, VaultAuth, VaultSettings, resolvers};

use crate::bao::Bao;

/// How often secrets without a lease are refreshed.
pub const REFRESH: Duration = Duration::from_secs(60);

/// The store with these settings.
pub fn store(bao: &Bao, vault: VaultSettings) -> Arc<dyn SecretResolver> {
    let vault = VaultSettings { address: Some(bao.address.parse().unwrap()), ..vault };
    let settings = SecretsSettings { vault, refresh: REFRESH.into(), ..SecretsSettings::default() };
    resolvers(&settings).into_iter().find(|resolver| resolver.scheme() == "vault").unwrap()
}

/// The store with a token.
pub fn by_token(bao: &Bao, token: &str) -> Arc<dyn SecretResolver> {
    store(bao, VaultSettings { token: Some(token.to_owned().into()), ..VaultSettings::default() })
}

/// The settings of a role that can read `paths`.
pub async fn app_role(bao: &Bao, paths: &[&str], lasts: &[&str]) -> VaultSettings {
    let mount = bao.name("approle");
    bao.run(&["auth", "enable", &format!("-path={mount}"), "approle"]).await;
    let role = format!("auth/{mount}/role/orders");
    let policies = format!("token_policies={}", bao.may_read(paths).await);
    let write = ["write", &role, &policies].into_iter().chain(lasts.iter().copied()).collect::<Vec<_>>();
    bao.run(&write).await;
    let role_id = bao.field("role_id", &["read", &format!("{role}/role-id")]).await;
    let secret_id = bao.field("secret_id", &["write", "-f", &format!("{role}/secret-id")]).await;
    VaultSettings {
        auth: VaultAuth::AppRole,
        auth_mount: Some(mount),
        role_id: Some(role_id.into()),
        secret_id: Some(secret_id.into()),
        ..VaultSettings::default()
    }
}

/// The reference of a secret, and the path that a policy must allow.
pub async fn readable(bao: &Bao) -> (String, String) {
    let mount = bao.name("keys");
    bao.run(&["secrets", "enable", &format!("-path={mount}"), "-version=2", "kv"]).await;
    bao.run(&["kv", "put", &format!("-mount={mount}"), "orders", "key=value"]).await;
    (format!("vault://{mount}/orders#key"), format!("{mount}/data/*"))
}

#[tokio::test]
async fn a_role_logs_in_again_when_its_login_can_no_longer_be_renewed() {
    let bao = Bao::running();
    let (reference, path) = readable(&bao).await;
    let settings = app_role(&bao, &[&path], &["token_ttl=3s", "token_max_ttl=5s"]).await;
    let store = store(&bao, settings);
    let end = tokio::time::Instant::now() + Duration::from_secs(9);
    while tokio::time::Instant::now() < end {
        let read = store.resolve(&reference).await.unwrap();
        assert_eq!(read.value.expose_secret(), "value");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_role_whose_login_is_revoked_logs_in_again_at_once() {
    let bao = Bao::running();
    let (reference, path) = readable(&bao).await;
    let settings = app_role(&bao, &[&path], &["token_ttl=10m"]).await;
    let mount = settings.auth_mount.clone().unwrap();
    let store = store(&bao, settings);
    store.resolve(&reference).await.unwrap();
    bao.run(&["token", "revoke", "-mode=path", &format!("auth/{mount}")]).await;
    assert_eq!(store.resolve(&reference).await.unwrap().value.expose_secret(), "value");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let bao = Bao::running();
    let (reference, path) = readable(&bao).await;
    let policy = format!("-policy={}", bao.may_read(&[&path]).await);
    let token = bao.field("token", &["token", "create", "-ttl=3s", &policy]).await;
    let store = by_token(&bao, &token);
    let end = tokio::time::Instant::now() + Duration::from_secs(6);
    while tokio::time::Instant::now() < end {
        store.resolve(&reference).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_an_error_until_its_file_has_another() {
    let bao = Bao::running();
    let (reference, path) = readable(&bao).await;
    let (first, second) = (bao.token(&[&path]).await, bao.token(&[&path]).await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{first}\n")).unwrap();
    let store = store(&bao, VaultSettings { token_path: Some(file.clone()), ..VaultSettings::default() });
    store.resolve(&reference).await.unwrap();
    bao.run(&["token", "revoke", &first]).await;
    let error = store.resolve(&reference).await.unwrap_err();
    assert!(error.to_string().contains("Vault refuses the token: it is revoked"), "{error}");
    assert!(!format!("{error:?}").contains(&first), "{error:?}");
    std::fs::write(&file, second).unwrap();
    store.resolve(&reference).await.unwrap();
}

#[tokio::test]
async fn the_error_of_a_refused_login_contains_no_secret() {
    let bao = Bao::running();
    let settings = app_role(&bao, &["none"], &[]).await;
    let wrong = VaultSettings { secret_id: Some("hunter2".to_owned().into()), ..settings };
    let error = store(&bao, wrong).resolve("vault://secret/orders#key").await.unwrap_err();
    assert!(error.to_string().contains("refuses the login with approle"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    let error = store(&bao, VaultSettings::default()).resolve("vault://secret/orders#key").await.unwrap_err();
    assert!(error.to_string().contains("secrets.vault.token"), "{error}");
}

#[tokio::test]
async fn an_unreachable_server_is_a_transient_error() {
    let mut bao = Bao::running();
    bao.address = "http://127.0.0.1:1".to_owned();
    let error = by_token(&bao, "hvs.token").resolve("vault://secret/orders#key").await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
}
