//! Key-value secrets.

use flotilla_config::{ExposeSecret, SecretResolver};

use crate::bao::Bao;
use crate::logins::by_token;

async fn value(store: &dyn SecretResolver, reference: &str) -> String {
    store.resolve(reference).await.unwrap().value.expose_secret().to_owned()
}

#[tokio::test]
async fn fields_of_both_versions_are_read_wherever_the_engine_is_mounted() {
    let bao = Bao::running();
    for version in ["1", "2"] {
        let mount = format!("apps/{}", bao.name("keys"));
        bao.run(&["secrets", "enable", &format!("-path={mount}"), &format!("-version={version}"), "kv"]).await;
        bao.run(&["kv", "put", &format!("-mount={mount}"), "orders/database", "user=me", "password=p@ss"]).await;
        let readable = if version == "2" { format!("{mount}/data/orders/*") } else { format!("{mount}/orders/*") };
        let store = by_token(&bao, &bao.token(&[&readable]).await);
        let path = format!("vault://{mount}/orders/database");
        assert_eq!(value(&*store, &format!("{path}#password")).await, "p@ss");
        assert_eq!(
            value(&*store, &format!("{path}#postgres://{{user}}:{{password}}@db/orders")).await,
            "postgres://me:p%40ss@db/orders"
        );
    }
}

#[tokio::test]
async fn the_next_read_returns_a_new_version_and_fails_for_a_deleted_one() {
    let bao = Bao::running();
    let mount = bao.name("keys");
    bao.run(&["secrets", "enable", &format!("-path={mount}"), "-version=2", "kv"]).await;
    let (at, reference) = (format!("-mount={mount}"), format!("vault://{mount}/signing#key"));
    bao.run(&["kv", "put", &at, "signing", "key=first"]).await;
    let store = by_token(&bao, &bao.token(&[&format!("{mount}/data/*")]).await);
    assert_eq!(value(&*store, &reference).await, "first");
    bao.run(&["kv", "put", &at, "signing", "key=second"]).await;
    let read = store.resolve(&reference).await.unwrap();
    assert_eq!(read.value.expose_secret(), "second");
    assert_eq!(read.refresh_in, Some(crate::logins::REFRESH), "a secret without a lease is refreshed at the interval");
    bao.run(&["kv", "delete", &at, "signing"]).await;
    let error = store.resolve(&reference).await.unwrap_err();
    assert!(!error.is_retriable(), "{error}");
}

#[tokio::test]
async fn the_error_for_an_absent_or_denied_secret_quotes_no_secret() {
    let bao = Bao::running();
    let mount = bao.name("keys");
    bao.run(&["secrets", "enable", &format!("-path={mount}"), "-version=2", "kv"]).await;
    let at = format!("-mount={mount}");
    bao.run(&["kv", "put", &at, "mine", "key=hunter2"]).await;
    bao.run(&["kv", "put", &at, "theirs", "key=hunter2"]).await;
    let token = bao.token(&[&format!("{mount}/data/mine"), &format!("{mount}/data/none")]).await;
    let store = by_token(&bao, &token);
    for (path, expected) in [
        ("mine#kee", "no field \"kee\"; it has key"),
        ("none#key", "nothing at"),
        ("theirs#key", "no policy of the login allows it"),
    ] {
        let error = store.resolve(&format!("vault://{mount}/{path}")).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_retriable(), "{error}");
        let all = format!("{error:?} {error}");
        assert!(!all.contains("hunter2") && !all.contains(&token), "{all}");
    }
}
