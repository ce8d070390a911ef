//! The first start: one key, one operator, however many replicas begin at once.

use flotilla_identity::Identity;
use flotilla_proto::identity::v1::{GetJsonWebKeySetRequest, auth_service_client::AuthServiceClient};
use flotilla_testkit::{ServiceHarness, stack};

use crate::support::{ADMIN_EMAIL, PASSWORD, World, settings};

#[tokio::test]
async fn two_replicas_that_start_at_once_share_one_key_and_one_operator() {
    let database = stack().await.database("identity", flotilla_identity::migrations()).await;
    let nats = stack().await.nats_url();
    let (one, two) = tokio::join!(
        ServiceHarness::start::<Identity>(settings(&database, &nats)),
        ServiceHarness::start::<Identity>(settings(&database, &nats)),
    );
    let mut published = Vec::new();
    for replica in [&one, &two] {
        let request = GetJsonWebKeySetRequest {};
        let keys = AuthServiceClient::new(replica.channel()).get_json_web_key_set(request).await.unwrap();
        published.push(keys.into_inner().keys);
    }
    assert_eq!(published[0].len(), 1);
    assert_eq!(published[0], published[1]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM signing_keys", &[]).await, 1);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM users WHERE role = 'operator'", &[]).await, 1);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn the_operator_and_the_key_survive_a_restart() {
    let world = World::start().await;
    let token = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap().access_token;
    let World { database, service, .. } = world;
    service.stop().await;
    let nats = stack().await.nats_url();
    let service = ServiceHarness::start::<Identity>(settings(&database, &nats)).await;
    let users = flotilla_proto::identity::v1::user_service_client::UserServiceClient::new(service.channel_as(&token));
    let listed = users.clone().list_users(flotilla_proto::identity::v1::ListUsersRequest::default()).await.unwrap();
    let emails: Vec<_> = listed.into_inner().users.into_iter().map(|user| user.email).collect();
    assert_eq!(emails, [ADMIN_EMAIL]);
    service.stop().await;
}
