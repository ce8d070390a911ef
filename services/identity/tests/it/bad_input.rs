//! Bad input: a clear error that names the field, and nothing written.

use flotilla_proto::identity::v1::{
    CreateUserRequest, DeleteUserRequest, GetUserRequest, ListUsersRequest, UpdateUserRequest, User,
};
use flotilla_testkit::fields;
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::support::{World, sign_up};

#[track_caller]
fn names(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(fields(status), [field], "{status:?}");
}

#[tokio::test]
async fn a_bad_sign_up_names_its_field_and_writes_nothing() {
    let world = World::start().await;
    let with = |change: fn(&mut User)| {
        let mut request = sign_up("ann@example.com");
        change(request.user.as_mut().unwrap());
        request
    };
    let bad = [
        ("user", CreateUserRequest::default()),
        ("user.email", with(|user| user.email = String::new())),
        ("user.email", with(|user| user.email = "ann".into())),
        ("user.email", with(|user| user.email = format!("{}@example.com", "a".repeat(300)))),
        ("user.email", with(|user| user.email = "ann\0@example.com".into())),
        ("user.display_name", with(|user| user.display_name = "x".repeat(201))),
        ("user.display_name", with(|user| user.display_name = "\0".into())),
        ("user.password", with(|user| user.password = "short".into())),
        ("user.password", with(|user| user.password = "x".repeat(257))),
        ("user.role", with(|user| user.role = 77)),
        ("request_id", CreateUserRequest { request_id: "k".repeat(129), ..sign_up("ann@example.com") }),
        ("request_id", CreateUserRequest { request_id: "\0".into(), ..sign_up("ann@example.com") }),
    ];
    for (field, request) in bad {
        names(&world.anyone().create_user(request).await.unwrap_err(), field);
    }
    assert_eq!(world.count("SELECT count(*) FROM users").await, 1, "the operator alone");
    world.finish().await;
}

#[tokio::test]
async fn bad_names_masks_and_tokens_are_named() {
    let world = World::start().await;
    let (ann, mut own) = world.customer("ann@example.com").await;
    for name in ["", "users/", "users/me", "accounts/0190a7e0-0000-7000-8000-000000000000", "users/a/b", "users/%00"] {
        names(&own.get_user(GetUserRequest { name: name.into() }).await.unwrap_err(), "name");
        let delete = DeleteUserRequest { name: name.into(), etag: String::new() };
        names(&own.delete_user(delete).await.unwrap_err(), "name");
        let user = Some(User { name: name.into(), ..User::default() });
        names(&own.update_user(UpdateUserRequest { user, update_mask: None }).await.unwrap_err(), "user.name");
    }
    names(&own.update_user(UpdateUserRequest::default()).await.unwrap_err(), "user");
    let mask = |path: &str| UpdateUserRequest {
        user: Some(User { name: ann.name.clone(), ..User::default() }),
        update_mask: Some(FieldMask { paths: vec![path.into()] }),
    };
    names(&own.update_user(mask("shoe_size")).await.unwrap_err(), "update_mask");
    names(&own.update_user(mask("email")).await.unwrap_err(), "user.email");
    // An error that names them all would be larger than the headers that a client takes.
    let mut many = mask("");
    many.update_mask = Some(FieldMask { paths: (0..1_000).map(|number| format!("shoe_size_{number}")).collect() });
    let refused = own.update_user(many).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().ends_with(" more are not listed)"), "{}", refused.message());

    let mut operator = world.operator().await;
    let list = |page_size, page_token: &str| ListUsersRequest {
        page_size,
        page_token: page_token.into(),
        ..ListUsersRequest::default()
    };
    names(&operator.list_users(list(-1, "")).await.unwrap_err(), "page_size");
    names(&operator.list_users(list(0, "rubbish")).await.unwrap_err(), "page_token");
    assert!(operator.list_users(list(i32::MAX, "")).await.is_ok());
    world.finish().await;
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_unauthenticated() {
    let world = World::start().await;
    let (ann, _) = world.customer("ann@example.com").await;
    let stranger = flotilla_testkit::TestIdentity::start().await;
    let id = ann.name.strip_prefix("users/").unwrap().parse().unwrap();
    let foreign = stranger.token(id, flotilla_auth::Role::Operator);
    for token in ["rubbish", "a.b.c", &foreign] {
        let status = world.with(token).get_user(GetUserRequest { name: ann.name.clone() }).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token}");
    }
    world.finish().await;
}
