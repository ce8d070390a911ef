//! Login, and the keys by which its tokens are checked elsewhere.

use std::{sync::Arc, time::Duration};

use flotilla_auth::{AuthSettings, Authenticator, Role};
use flotilla_proto::identity::v1::{GetJsonWebKeySetRequest, LoginRequest};
use flotilla_rpc::{ClientSettings, Details, RemoteKeys};
use flotilla_testkit::fields;
use futures::future::join_all;
use tonic::{Code, Request};

use crate::support::{ADMIN_EMAIL, PASSWORD, World};

#[tokio::test]
async fn a_token_is_verified_by_the_published_keys() {
    let world = World::start().await;
    let (user, _) = world.customer("ann@example.com").await;
    // The address is compared without case.
    let login = world.log_in("Ann@Example.COM", PASSWORD).await.unwrap();
    assert_eq!((login.token_type.as_str(), &login.user), ("Bearer", &user.name));

    let keys = RemoteKeys::connect(&world.service.url(), &ClientSettings::default()).unwrap();
    let authenticator = Authenticator::new(&AuthSettings::default(), Arc::new(keys));
    let caller = authenticator.verify(&login.access_token).await.unwrap();
    assert_eq!(format!("users/{}", caller.user), user.name);
    assert_eq!(caller.role, Role::Customer);
    assert_eq!(Some(prost_types::Timestamp::from(caller.expires)), login.expire_time);

    let operator = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap();
    assert_eq!(authenticator.verify(&operator.access_token).await.unwrap().role, Role::Operator);
    let elsewhere = AuthSettings { audience: "another".into(), ..AuthSettings::default() };
    let keys = RemoteKeys::connect(&world.service.url(), &ClientSettings::default()).unwrap();
    assert!(Authenticator::new(&elsewhere, Arc::new(keys)).verify(&login.access_token).await.is_err());
    world.finish().await;
}

#[tokio::test]
async fn only_public_keys_are_published() {
    let world = World::start().await;
    let keys = world.auth().get_json_web_key_set(GetJsonWebKeySetRequest {}).await.unwrap().into_inner().keys;
    let [key] = keys.as_slice() else { panic!("one key expected") };
    assert_eq!(
        (key.kty.as_str(), key.crv.as_str(), key.alg.as_str(), key.r#use.as_str()),
        ("OKP", "Ed25519", "EdDSA", "sig")
    );
    world.finish().await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_refused_alike() {
    let world = World::start().await;
    world.customer("ann@example.com").await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("ann@example.com", "wrong horse"),
        ("ann@example.com", "Correct horse"),
        ("nobody@example.com", PASSWORD),
        ("nobody\0@example.com", PASSWORD),
        ("ann@example.com", &"x".repeat(256)),
    ] {
        let status = world.log_in(email, password).await.unwrap_err();
        answers.push((status.code(), status.message().to_owned(), Details::of(&status).reason));
    }
    assert_eq!(answers[0].0, Code::Unauthenticated);
    assert_eq!(answers[0].2.as_deref(), Some("BAD_CREDENTIALS"));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

    let status = world.auth().login(LoginRequest::default()).await.unwrap_err();
    assert_eq!(fields(&status), ["email", "password"]);
    let label = LoginRequest { email: "a@b".into(), password: PASSWORD.into(), client_label: "\0".into() };
    assert_eq!(fields(&world.auth().login(label).await.unwrap_err()), ["client_label"]);
    world.finish().await;
}

#[test]
fn an_unknown_address_costs_the_same_work_as_a_wrong_password() {
    // The runtime has one blocking thread, and the test occupies it: a request that needs a hash gets no response. That
    // shows which requests need one, whatever it costs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let world = World::start().await;
        world.customer("ann@example.com").await;
        let (release, released) = std::sync::mpsc::channel::<()>();
        let kept = tokio::task::spawn_blocking(move || released.recv());
        let log_in = |email: &str| {
            let (email, password) = (email.to_owned(), "wrong horse".to_owned());
            let mut request = Request::new(LoginRequest { email, password, client_label: String::new() });
            request.set_timeout(Duration::from_secs(2));
            let mut auth = world.auth();
            async move { auth.login(request).await.unwrap_err().code() }
        };
        let answers = join_all(["ann@example.com", "nobody@example.com", "nobody\0@example.com"].map(log_in)).await;
        assert_eq!(answers, [Code::DeadlineExceeded; 3], "some were answered without any work");
        drop(release);
        assert!(kept.await.unwrap().is_err());
        world.finish().await;
    });
}

#[tokio::test]
async fn a_deleted_user_cannot_log_in() {
    let world = World::start().await;
    let (user, mut own) = world.customer("ann@example.com").await;
    let request = flotilla_proto::identity::v1::DeleteUserRequest { name: user.name, etag: String::new() };
    own.delete_user(request).await.unwrap();
    assert_eq!(world.log_in("ann@example.com", PASSWORD).await.unwrap_err().code(), Code::Unauthenticated);
    world.finish().await;
}
