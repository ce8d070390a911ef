//! Reading, listing, changing and deleting users, and who may.

use flotilla_proto::identity::v1::{
    DeleteUserRequest, GetUserRequest, ListUsersRequest, Role, UpdateUserRequest, User, UserDeleted, UserUpdated,
};
use flotilla_testkit::reason;
use prost_types::FieldMask;
use tonic::Code;

use crate::support::{PASSWORD, World, sign_up};

fn get(name: &str) -> GetUserRequest {
    GetUserRequest { name: name.into() }
}

fn update(user: User, paths: &[&str]) -> UpdateUserRequest {
    let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
    let update_mask = if paths.is_empty() { None } else { Some(FieldMask { paths }) };
    UpdateUserRequest { user: Some(user), update_mask }
}

#[tokio::test]
async fn a_customer_sees_only_themself_and_an_operator_everyone() {
    let world = World::start().await;
    let (ann, mut as_ann) = world.customer("ann@example.com").await;
    let (bob, mut as_bob) = world.customer("bob@example.com").await;
    assert_eq!(as_ann.get_user(get(&ann.name)).await.unwrap().into_inner(), ann);
    let missing = as_ann.get_user(get("users/0190a7e0-0000-7000-8000-000000000000")).await.unwrap_err();
    let hidden = as_ann.get_user(get(&bob.name)).await.unwrap_err();
    assert_eq!((hidden.code(), reason(&hidden)), (missing.code(), reason(&missing)));
    assert_eq!(hidden.code(), Code::NotFound);

    let change = update(User { name: bob.name.clone(), display_name: "Bobby".into(), ..User::default() }, &[]);
    assert_eq!(as_ann.update_user(change).await.unwrap_err().code(), Code::NotFound);
    let delete = DeleteUserRequest { name: bob.name.clone(), etag: String::new() };
    assert_eq!(as_ann.delete_user(delete).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(as_bob.get_user(get(&bob.name)).await.unwrap().into_inner(), bob);

    let mut operator = world.operator().await;
    assert_eq!(operator.get_user(get(&ann.name)).await.unwrap().into_inner(), ann);
    assert_eq!(
        operator.get_user(get("users/0190a7e0-0000-7000-8000-000000000000")).await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(world.anyone().get_user(get(&ann.name)).await.unwrap_err().code(), Code::Unauthenticated);
    world.finish().await;
}

#[tokio::test]
async fn row_level_security_hides_others_and_every_password_from_the_user_role() {
    let world = World::start().await;
    let (ann, _) = world.customer("ann@example.com").await;
    world.customer("bob@example.com").await;
    let settings = world.database.settings();
    let registry = flotilla_telemetry::Registry::new();
    let pool = flotilla_postgres::Pool::connect("user", &settings.user_url, &settings, &registry).unwrap();
    let id = ann.name.strip_prefix("users/").unwrap().parse().unwrap();
    assert_eq!(pool.query_as(id, "SELECT email FROM users", &[]).await.unwrap().len(), 1);
    assert!(pool.query("SELECT email FROM users", &[]).await.unwrap().is_empty());
    for forbidden in ["SELECT password_hash FROM users", "SELECT private_key FROM signing_keys", "DELETE FROM users"] {
        let error = pool.query_as(id, forbidden, &[]).await.unwrap_err();
        assert_eq!(error.sql_state(), Some("42501"), "{forbidden}");
    }
    world.finish().await;
}

#[tokio::test]
async fn operators_list_users_page_by_page_oldest_first() {
    let world = World::start().await;
    for number in 0..7 {
        world.anyone().create_user(sign_up(&format!("user{number}@example.com"))).await.unwrap();
    }
    let mut operator = world.operator().await;
    let (mut emails, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListUsersRequest { page_size: 3, page_token, ..ListUsersRequest::default() };
        let page = operator.list_users(request).await.unwrap().into_inner();
        pages += 1;
        emails.extend(page.users.into_iter().map(|user| user.email));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (0..7).map(|number| format!("user{number}@example.com")).collect();
    assert_eq!((pages, &emails[1..]), (3, &expected[..]), "after the operator");
    let whole = operator.list_users(ListUsersRequest::default()).await.unwrap().into_inner();
    assert_eq!((whole.users.len(), whole.next_page_token.as_str()), (8, ""));

    let (_, mut customer) = world.customer("ann@example.com").await;
    assert_eq!(customer.list_users(ListUsersRequest::default()).await.unwrap_err().code(), Code::PermissionDenied);
    world.finish().await;
}

#[tokio::test]
async fn operators_filter_and_sort_users() {
    let world = World::start().await;
    for name in ["carol", "bob", "ann"] {
        let mut request = sign_up(&format!("{name}@example.com"));
        request.user.as_mut().unwrap().display_name = name.into();
        world.anyone().create_user(request).await.unwrap();
    }
    let mut operator = world.operator().await;
    let ask = |filter: &str, order_by: &str| ListUsersRequest {
        filter: filter.into(),
        order_by: order_by.into(),
        ..ListUsersRequest::default()
    };
    for (filter, order_by, expected) in [
        ("role = CUSTOMER", "", vec!["carol", "bob", "ann"]),
        ("role = CUSTOMER", "create_time desc", vec!["ann", "bob", "carol"]),
        ("role = CUSTOMER", "display_name", vec!["ann", "bob", "carol"]),
        ("role = OPERATOR", "", vec!["Operator"]),
        ("email:\"EXAMPLE.com\" AND display_name = \"bob\"", "email", vec!["bob"]),
        ("create_time >= \"2100-01-01T00:00:00Z\"", "", vec![]),
        ("display_name = \"x' OR '1' = '1\"", "", vec![]),
    ] {
        let listed = operator.list_users(ask(filter, order_by)).await.unwrap().into_inner();
        let names: Vec<_> = listed.users.iter().map(|user| user.display_name.as_str()).collect();
        assert_eq!(names, expected, "{filter} by {order_by}");
    }
    let page = ListUsersRequest { page_size: 2, ..ask("role = CUSTOMER", "email desc") };
    let first = operator.list_users(page.clone()).await.unwrap().into_inner();
    let second = ListUsersRequest { page_token: first.next_page_token, ..page };
    let rest = operator.list_users(second.clone()).await.unwrap().into_inner();
    assert_eq!((rest.users[0].display_name.as_str(), rest.users.len(), &*rest.next_page_token), ("ann", 1, ""));
    for (request, field) in [
        (ask("password_hash = \"x\"", ""), "filter"),
        (ask("role = ROOT", ""), "filter"),
        (ask("", "password_hash"), "order_by"),
        (ListUsersRequest { filter: "role = OPERATOR".into(), ..second }, "page_token"),
    ] {
        let status = operator.list_users(request).await.unwrap_err();
        assert_eq!((status.code(), flotilla_testkit::fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    world.finish().await;
}

#[tokio::test]
async fn an_update_changes_the_masked_fields_and_publishes_an_event() {
    let world = World::start().await;
    let mut listener = world.listen().await;
    let (ann, mut own) = world.customer("ann@example.com").await;
    let given = User {
        name: ann.name.clone(),
        display_name: "Anna".into(),
        email: "ignored@example.com".into(),
        etag: ann.etag.clone(),
        ..User::default()
    };
    let changed = own.update_user(update(given.clone(), &["display_name"])).await.unwrap().into_inner();
    assert_eq!((changed.display_name.as_str(), changed.email.as_str()), ("Anna", "ann@example.com"));
    assert!(changed.etag.starts_with("\"2-"), "{}", changed.etag);
    let (event, updated) = listener.next_event::<UserUpdated>(&ann.name).await;
    assert_eq!((updated.display_name.as_str(), event.aggregate_version), ("Anna", 2));

    let stale = own.update_user(update(given, &["display_name"])).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));

    // What changes nothing leaves no trace.
    let same = User { name: ann.name.clone(), display_name: "Anna".into(), ..User::default() };
    assert_eq!(own.update_user(update(same, &[])).await.unwrap().into_inner(), changed);
    assert_eq!(world.database.outbox_of::<UserUpdated>().await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_log_in_needs_the_changed_password_and_address() {
    let world = World::start().await;
    let (ann, mut own) = world.customer("ann@example.com").await;
    let given =
        User { name: ann.name, email: "anna@example.com".into(), password: "another horse".into(), ..User::default() };
    let given = User { current_password: PASSWORD.into(), ..given };
    own.update_user(update(given, &[])).await.unwrap();
    assert!(world.log_in("anna@example.com", "another horse").await.is_ok());
    assert!(world.log_in("anna@example.com", PASSWORD).await.is_err());
    assert!(world.log_in("ann@example.com", "another horse").await.is_err());
    world.finish().await;
}

#[tokio::test]
async fn an_update_cannot_take_anothers_address_or_a_role() {
    let world = World::start().await;
    let (ann, mut own) = world.customer("ann@example.com").await;
    world.customer("bob@example.com").await;
    let taken = User { name: ann.name.clone(), email: "BOB@example.com".into(), ..User::default() };
    let status = own.update_user(update(taken, &["email"])).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "EMAIL_TAKEN"));

    let mut promoted = User { name: ann.name.clone(), ..User::default() };
    promoted.set_role(Role::Operator);
    let status = own.update_user(update(promoted.clone(), &["role"])).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_NEEDS_OPERATOR"));
    let made = world.operator().await.update_user(update(promoted, &["role"])).await.unwrap().into_inner();
    assert_eq!(made.role(), Role::Operator);
    world.finish().await;
}

#[tokio::test]
async fn a_user_is_deleted_and_an_event_is_published() {
    let world = World::start().await;
    let mut listener = world.listen().await;
    let (ann, mut own) = world.customer("ann@example.com").await;
    let stale = DeleteUserRequest { name: ann.name.clone(), etag: "\"9\"".into() };
    assert_eq!(reason(&own.delete_user(stale).await.unwrap_err()), "ETAG_MISMATCH");
    let delete = DeleteUserRequest { name: ann.name.clone(), etag: ann.etag };
    own.delete_user(delete.clone()).await.unwrap();
    let (event, deleted) = listener.next_event::<UserDeleted>(&ann.name).await;
    assert_eq!((deleted.user.as_str(), event.aggregate_version), (ann.name.as_str(), 2));

    assert_eq!(reason(&own.get_user(get(&ann.name)).await.unwrap_err()), "SESSION_REVOKED");
    let mut operator = world.operator().await;
    assert_eq!(operator.delete_user(delete).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(operator.get_user(get(&ann.name)).await.unwrap_err().code(), Code::NotFound);
    let listed = operator.list_users(ListUsersRequest::default()).await.unwrap().into_inner();
    assert!(listed.users.iter().all(|user| user.name != ann.name));
    // What is personal is gone from the table too.
    assert_eq!(
        world.count("SELECT count(*) FROM users WHERE deleted_at IS NOT NULL AND email || display_name || password_hash = ''").await,
        1
    );
    world.finish().await;
}
