//! Credentials that Vault creates on demand.

use std::time::Duration;

use flotilla_config::ExposeSecret;
use flotilla_secrets::{SecretsSettings, Stores, VaultSettings};
use prometheus::{Registry, TextEncoder};

use crate::bao::Bao;
use crate::database::{Database, user_of};
use crate::logins::{app_role, by_token, store};

fn count(registry: &Registry, result: &str) -> u64 {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let line = format!("flotilla_secret_refreshes_total{{result=\"{result}\",store=\"vault\"}} ");
    text.lines().find_map(|known| known.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_lease_is_renewed_and_then_replaced_while_the_previous_credential_is_still_valid() {
    let bao = Bao::running();
    let database = Database::start(&bao, "orders").await;
    // Long enough that even a slow machine finds the previous one before it expires.
    database.role("system", "8s", "13s").await;
    let token = bao.token(&[&format!("{}/creds/system", database.mount)]).await;
    let vault = VaultSettings {
        address: Some(bao.address.parse().unwrap()),
        token: Some(token.into()),
        ..VaultSettings::default()
    };
    let stores = Stores::new(&SecretsSettings { vault, ..SecretsSettings::default() });
    let registry = Registry::new();
    stores.register(&registry).unwrap();
    let store = stores.resolvers().remove(0);

    let mut users: Vec<String> = Vec::new();
    let mut former = None;
    while users.len() < 3 {
        let read = store.resolve(&database.reference("system")).await.unwrap();
        let url = read.value.expose_secret().to_owned();
        let user = user_of(&url).await.expect("the credential lets us in");
        if users.last() != Some(&user) {
            if let Some(former) = former.replace(url.clone()) {
                user_of(&former).await.expect("the former credential still lets us in");
            }
            users.push(user);
        }
        let wait = read.refresh_in.unwrap();
        assert!(wait <= Duration::from_millis(5_334), "two thirds of eight seconds at most: {wait:?}");
        tokio::time::sleep(wait).await;
    }
    assert_eq!(count(&registry, "issued"), 3);
    assert!(count(&registry, "renewed") >= 2, "each was renewed before it was replaced");
    assert_eq!(count(&registry, "failed"), 0);
    database.stop().await;
}

#[tokio::test]
async fn references_to_one_path_share_a_lease() {
    let bao = Bao::running();
    let database = Database::start(&bao, "orders").await;
    database.role("user", "10m", "1h").await;
    let store = by_token(&bao, &bao.token(&[&format!("{}/creds/user", database.mount)]).await);
    let [name, password, both] = ["username", "password", "{username}:{password}"]
        .map(|wanted| format!("vault://{}/creds/user#{wanted}", database.mount));
    let (name, password, both) = futures::join!(store.resolve(&name), store.resolve(&password), store.resolve(&both));
    let text = |read: Result<flotilla_config::Resolved, _>| read.unwrap().value.expose_secret().to_owned();
    assert_eq!(text(both), format!("{}:{}", text(name), text(password)));
    let roles = database.run("SELECT FROM pg_roles WHERE rolname LIKE 'v-%'").await;
    assert_eq!(roles.len(), 1, "one credential was created");
    database.stop().await;
}

#[tokio::test]
async fn a_revoked_lease_is_replaced_when_it_is_due() {
    let bao = Bao::running();
    let database = Database::start(&bao, "orders").await;
    database.role("user", "3s", "1h").await;
    let store = by_token(&bao, &bao.token(&[&format!("{}/creds/user", database.mount)]).await);
    let before = store.resolve(&database.reference("user")).await.unwrap();
    bao.run(&["lease", "revoke", "-sync", "-prefix", &format!("{}/creds/user", database.mount)]).await;
    tokio::time::sleep(before.refresh_in.unwrap()).await;
    let after = store.resolve(&database.reference("user")).await.unwrap();
    user_of(after.value.expose_secret()).await.expect("the new credential lets us in");
    assert_ne!(before.value.expose_secret(), after.value.expose_secret());
    database.stop().await;
}

#[tokio::test]
async fn a_new_login_gets_a_new_lease() {
    let bao = Bao::running();
    let database = Database::start(&bao, "orders").await;
    database.role("user", "10m", "1h").await;
    let path = format!("{}/creds/user", database.mount);
    let settings = app_role(&bao, &[&path], &["token_ttl=3s", "token_max_ttl=3s"]).await;
    let store = store(&bao, settings);
    let before = store.resolve(&database.reference("user")).await.unwrap();
    let wait = before.refresh_in.unwrap();
    assert!(wait <= Duration::from_secs(2), "the login ends before the lease: {wait:?}");
    tokio::time::sleep(wait).await;
    let after = store.resolve(&database.reference("user")).await.unwrap();
    assert_ne!(before.value.expose_secret(), after.value.expose_secret());
    user_of(before.value.expose_secret()).await.expect("the former still lets us in");
    user_of(after.value.expose_secret()).await.expect("and so does the new one");
    database.stop().await;
}

#[tokio::test]
async fn a_static_roles_password_is_read_again_when_vault_changes_it() {
    let bao = Bao::running();
    let database = Database::start(&bao, "orders").await;
    let role = format!("{}/static-roles/user", database.mount);
    bao.run(&["write", &role, "db_name=orders", "username=orders_user", "rotation_period=30s"]).await;
    let path = format!("{}/static-creds/user", database.mount);
    let store = by_token(&bao, &bao.token(&[&path]).await);
    let read = store.resolve(&format!("vault://{path}#password")).await.unwrap();
    let wait = read.refresh_in.unwrap();
    assert!(wait <= Duration::from_secs(31), "no later than the next change: {wait:?}");
    database.stop().await;
}
