//! Keys change while tokens are checked everywhere.

use std::{sync::Arc, time::Duration};

use flotilla_auth::Authenticator;
use flotilla_config::HumanDuration;
use flotilla_identity::config::AuthSettings;
use flotilla_proto::identity::v1::{
    GetJsonWebKeySetRequest, RotateSigningKeyRequest, auth_service_client::AuthServiceClient,
};
use flotilla_rpc::{ClientSettings, RemoteKeys};
use flotilla_testkit::{ServiceHarness, TIMEOUT, eventually, refusal};
use tonic::Code;

use crate::support::{ADMIN_EMAIL, PASSWORD, World};

async fn published(service: &ServiceHarness) -> Vec<String> {
    let keys = AuthServiceClient::new(service.channel()).get_json_web_key_set(GetJsonWebKeySetRequest {}).await;
    keys.unwrap().into_inner().keys.into_iter().map(|key| key.kid).collect()
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test]
async fn tokens_of_both_keys_are_accepted_during_a_rotation_and_the_old_key_is_removed_afterwards() {
    let auth = AuthSettings {
        // Long enough for a busy machine to log in before the new key signs.
        token_lifetime: HumanDuration::from_secs(12),
        key_lead: HumanDuration::from_secs(4),
        clock_skew: HumanDuration::from_secs(0),
        ..AuthSettings::default()
    };
    let world = World::start_with(auth.clone()).await;
    let replica = world.replica().await;
    let verifiers = [&world.service, &replica].map(|service| {
        let keys = RemoteKeys::connect(&service.url(), &ClientSettings::default()).unwrap();
        Authenticator::new(&auth.verification(), Arc::new(keys))
    });
    let old = published(&replica).await;
    let operator = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap();
    for verifier in &verifiers {
        verifier.verify(&operator.access_token).await.unwrap();
    }

    let mut own = world.auth_as(&operator.access_token);
    let new = own.rotate_signing_key(RotateSigningKeyRequest {}).await.unwrap().into_inner().kid;
    // From before the rotation until the new key has signed for a while, every token passes everywhere.
    let (mut by_old, mut by_new) = (0, 0);
    while by_new < 10 {
        let token = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap().access_token;
        for verifier in &verifiers {
            verifier.verify(&token).await.unwrap();
        }
        let counter = if kid(&token) == new { &mut by_new } else { &mut by_old };
        *counter += 1;
        if by_new == 1 {
            assert_eq!(published(&world.service).await.len(), 2, "tokens of the old key live");
        }
        assert!(by_new == 0 || kid(&token) == new, "the old key signs no more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(by_old > 0, "the new key was published before it signed");

    for service in [&world.service, &replica] {
        eventually("the old key has left", TIMEOUT, || async {
            let published = published(service).await;
            if published == [new.clone()] { Ok(()) } else { Err(format!("{published:?}")) }
        })
        .await;
    }
    assert_ne!(old, [new]);
    replica.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn only_operators_rotate_keys_up_to_the_maximum_number() {
    let world = World::start().await;
    world.customer("ann@example.com").await;
    let customer = world.log_in("ann@example.com", PASSWORD).await.unwrap();
    let rotate = |token: &str| {
        let mut auth = world.auth_as(token);
        async move { auth.rotate_signing_key(RotateSigningKeyRequest {}).await }
    };
    assert_eq!(refusal(rotate(&customer.access_token).await), (Code::PermissionDenied, "OPERATOR_REQUIRED".to_owned()));
    let operator = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap();
    for _ in 1..16 {
        rotate(&operator.access_token).await.unwrap();
    }
    let full = refusal(rotate(&operator.access_token).await);
    assert_eq!(full, (Code::FailedPrecondition, "TOO_MANY_SIGNING_KEYS".to_owned()));
    assert_eq!(published(&world.service).await.len(), 16);
    assert_eq!(world.count("SELECT count(*) FROM signing_keys WHERE verifies_until IS NULL").await, 1);
    world.finish().await;
}
