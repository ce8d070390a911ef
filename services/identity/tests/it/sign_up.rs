//! Sign-up: who may, once for an address, once for a request id.

use flotilla_proto::identity::v1::{CreateUserRequest, Role, User, UserCreated};
use flotilla_testkit::reason;
use tonic::Code;

use crate::support::{PASSWORD, World, sign_up};

#[tokio::test]
async fn anyone_signs_up_as_a_customer_and_an_event_is_published() {
    let world = World::start().await;
    let mut listener = world.listen().await;
    let user = world.anyone().create_user(sign_up("Ann@example.com")).await.unwrap().into_inner();
    assert_eq!(user.email, "Ann@example.com");
    assert_eq!(user.role(), Role::Customer);
    assert_eq!(user.password, "");
    assert!(user.etag.starts_with("\"1-"), "{}", user.etag);
    assert!(user.create_time.is_some());
    let (event, created) = listener.next_event::<UserCreated>(&user.name).await;
    assert_eq!((created.user.as_str(), created.role.as_str()), (user.name.as_str(), "customer"));
    assert_eq!((event.partition_key.as_str(), event.aggregate_version), (user.name.as_str(), 1));
    let hash: String =
        world.database.value("SELECT password_hash FROM users WHERE email = $1", &[&"Ann@example.com"]).await;
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    world.finish().await;
}

#[tokio::test]
async fn an_address_is_taken_in_any_case_and_free_again_once_its_user_is_deleted() {
    let world = World::start().await;
    let (user, mut own) = world.customer("ann@example.com").await;
    let status = world.anyone().create_user(sign_up("ANN@Example.com")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));
    let request = flotilla_proto::identity::v1::DeleteUserRequest { name: user.name.clone(), etag: String::new() };
    own.delete_user(request).await.unwrap();
    let again = world.anyone().create_user(sign_up("ANN@Example.com")).await.unwrap().into_inner();
    assert_ne!(again.name, user.name);
    world.finish().await;
}

#[tokio::test]
async fn concurrent_sign_ups_with_one_address_create_one_user() {
    let world = World::start().await;
    let calls = (0..8).map(|_| {
        let mut users = world.anyone();
        async move { users.create_user(sign_up("ann@example.com")).await }
    });
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for status in answers.into_iter().filter_map(Result::err) {
        assert_eq!(reason(&status), "EMAIL_TAKEN");
    }
    assert_eq!(world.count("SELECT count(*) FROM users WHERE email = 'ann@example.com'").await, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_repeat_under_its_request_id_returns_the_same_user() {
    let world = World::start().await;
    let request = CreateUserRequest { request_id: "key-1".into(), ..sign_up("ann@example.com") };
    let calls = (0..4).map(|_| {
        let (mut users, request) = (world.anyone(), request.clone());
        async move { users.create_user(request).await.unwrap().into_inner() }
    });
    let users = futures::future::join_all(calls).await;
    assert!(users.iter().all(|user| user == &users[0]), "{users:?}");

    // Another body or another password under the same key is a conflict.
    let user = request.user.clone().unwrap();
    let others = [
        User { email: "other@example.com".into(), ..user.clone() },
        User { display_name: "Anna".into(), ..user.clone() },
        User { password: "another horse".into(), ..user },
    ];
    for other in others {
        let reuse = CreateUserRequest { user: Some(other), ..request.clone() };
        let status = world.anyone().create_user(reuse).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
    }
    // The operator and one customer.
    assert_eq!(world.count("SELECT count(*) FROM users").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_refused_sign_up_does_not_use_up_its_request_id() {
    let world = World::start().await;
    let mut request = CreateUserRequest { request_id: "key-1".into(), ..sign_up("no address") };
    assert_eq!(world.anyone().create_user(request.clone()).await.unwrap_err().code(), Code::InvalidArgument);
    request.user.as_mut().unwrap().email = "ann@example.com".into();
    world.anyone().create_user(request).await.unwrap();
    world.finish().await;
}

#[tokio::test]
async fn only_operators_create_operators() {
    let world = World::start().await;
    let mut request = sign_up("ops@example.com");
    request.user.as_mut().unwrap().set_role(Role::Operator);
    let (_, mut customer) = world.customer("ann@example.com").await;
    for users in [&mut world.anyone(), &mut customer] {
        let status = users.create_user(request.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_NEEDS_OPERATOR"));
    }
    let made = world.operator().await.create_user(request).await.unwrap().into_inner();
    assert_eq!(made.role(), Role::Operator);
    let token = world.log_in("ops@example.com", PASSWORD).await.unwrap().access_token;
    world.with(&token).list_users(flotilla_proto::identity::v1::ListUsersRequest::default()).await.unwrap();
    world.finish().await;
}
