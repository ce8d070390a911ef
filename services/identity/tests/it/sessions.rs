//! Sessions: how they are carried on, who sees and ends them, and what a stolen refresh token is good for.

use std::time::Duration;

use flotilla_clock::Ids;
use flotilla_identity::{
    domain::{
        self,
        session::{Lifetimes, refresh_hash},
    },
    storage::{NewSession, Sessions},
};
use flotilla_proto::identity::v1::{
    DeleteSessionRequest, DeleteUserRequest, GetUserRequest, ListSessionsRequest, ListUsersRequest, LoginRequest,
    LoginResponse, LogoutRequest, Role, Session, UpdateUserRequest, User,
};
use flotilla_testkit::{fields, reason, refusal};
use tonic::Code;

use crate::support::{ADMIN_EMAIL, PASSWORD, World};

const ANN: &str = "ann@example.com";

/// Whether the access token of a pair lets its bearer in: the code and reason if not.
async fn enters(world: &World, pair: &LoginResponse) -> Result<(), (Code, String)> {
    let request = GetUserRequest { name: pair.user.clone() };
    match world.with(&pair.access_token).get_user(request).await {
        Ok(_) => Ok(()),
        refused => Err(refusal(refused)),
    }
}

fn ended() -> Result<(), (Code, String)> {
    Err((Code::Unauthenticated, "SESSION_REVOKED".to_owned()))
}

fn refused(reason: &str) -> (Code, String) {
    (Code::Unauthenticated, reason.to_owned())
}

async fn list(world: &World, token: &str) -> Vec<Session> {
    world.auth_as(token).list_sessions(ListSessionsRequest::default()).await.unwrap().into_inner().sessions
}

#[tokio::test]
async fn a_session_continues_by_refresh_tokens_that_are_each_valid_once() {
    let world = World::start().await;
    world.customer(ANN).await;
    let first = world.log_in(ANN, PASSWORD).await.unwrap();
    assert!(first.session.starts_with("sessions/"));
    let mut last = first.clone();
    for _ in 0..3 {
        let next = world.refresh(&last.refresh_token).await.unwrap();
        assert_eq!((&next.session, &next.user, next.token_type.as_str()), (&first.session, &first.user, "Bearer"));
        assert_ne!(next.refresh_token, last.refresh_token);
        assert_eq!(enters(&world, &next).await, Ok(()));
        last = next;
    }
    assert!(last.refresh_expire_time.unwrap().seconds >= first.refresh_expire_time.unwrap().seconds);
    assert_eq!(enters(&world, &first).await, Ok(()), "an access token lives until it ends");
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE client_label = 'test'").await, 2);
    world.finish().await;
}

#[tokio::test]
async fn a_stolen_refresh_token_that_is_used_again_ends_the_whole_session() {
    let world = World::start().await;
    world.customer(ANN).await;
    let (owner, elsewhere) = (world.log_in(ANN, PASSWORD).await.unwrap(), world.log_in(ANN, PASSWORD).await.unwrap());
    let thief = world.refresh(&owner.refresh_token).await.unwrap();
    assert_eq!(refusal(world.refresh(&owner.refresh_token).await), refused("REFRESH_TOKEN_REUSED"));

    // Nothing that came out of the session counts any more, whoever holds it.
    assert_eq!(refusal(world.refresh(&thief.refresh_token).await), refused("SESSION_REVOKED"));
    assert_eq!(refusal(world.refresh(&owner.refresh_token).await), refused("SESSION_REVOKED"));
    assert_eq!((enters(&world, &thief).await, enters(&world, &owner).await), (ended(), ended()));
    // The user's other session goes on.
    assert_eq!(enters(&world, &elsewhere).await, Ok(()));
    assert!(world.refresh(&elsewhere.refresh_token).await.is_ok());
    world.finish().await;
}

#[tokio::test]
async fn an_old_refresh_token_ends_the_session_too() {
    let world = World::start().await;
    world.customer(ANN).await;
    let first = world.log_in(ANN, PASSWORD).await.unwrap();
    let second = world.refresh(&first.refresh_token).await.unwrap();
    let third = world.refresh(&second.refresh_token).await.unwrap();
    assert_eq!(refusal(world.refresh(&first.refresh_token).await), refused("REFRESH_TOKEN_REUSED"));
    assert_eq!(refusal(world.refresh(&third.refresh_token).await), refused("SESSION_REVOKED"));
    world.finish().await;
}

#[tokio::test]
async fn concurrent_uses_of_a_refresh_token_yield_at_most_one_pair_and_end_the_session() {
    let world = World::start().await;
    world.customer(ANN).await;
    let pair = world.log_in(ANN, PASSWORD).await.unwrap();
    let answers = futures::future::join_all((0..8).map(|_| world.refresh(&pair.refresh_token))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().any(|answer| reason(answer.as_ref().unwrap_err()) == "REFRESH_TOKEN_REUSED"));
    let won = won[0].as_ref().unwrap();
    assert_eq!(refusal(world.refresh(&won.refresh_token).await), refused("SESSION_REVOKED"));
    assert_eq!(enters(&world, won).await, ended());
    world.finish().await;
}

#[tokio::test]
async fn refresh_tokens_that_are_unknown_or_too_old_are_refused() {
    let world = World::start().await;
    world.customer(ANN).await;
    let pair = world.log_in(ANN, PASSWORD).await.unwrap();
    for unknown in ["x", &pair.access_token[..40], &pair.refresh_token.to_uppercase(), "' OR 1=1 --"] {
        assert_eq!(refusal(world.refresh(unknown).await), refused("REFRESH_TOKEN_INVALID"), "{unknown}");
    }
    assert_eq!(fields(&world.refresh("").await.unwrap_err()), ["refresh_token"]);
    assert_eq!(fields(&world.refresh(&"x".repeat(257)).await.unwrap_err()), ["refresh_token"]);

    let aged = "WITH aged AS (UPDATE refresh_tokens SET expires_at = now() RETURNING 1) SELECT count(*) FROM aged";
    assert_eq!(world.count(aged).await, 2);
    assert_eq!(refusal(world.refresh(&pair.refresh_token).await), refused("REFRESH_TOKEN_EXPIRED"));
    world.finish().await;
}

#[tokio::test]
async fn only_the_hash_of_a_refresh_token_is_stored() {
    let world = World::start().await;
    let pair = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap();
    let by_hash = "SELECT count(*) FROM refresh_tokens WHERE hash = sha256(convert_to($1, 'UTF8'))";
    assert_eq!(world.database.value::<i64>(by_hash, &[&pair.refresh_token]).await, 1);
    world.finish().await;
}

#[tokio::test]
async fn a_log_out_ends_only_its_own_session() {
    let world = World::start().await;
    world.customer(ANN).await;
    let (here, there) = (world.log_in(ANN, PASSWORD).await.unwrap(), world.log_in(ANN, PASSWORD).await.unwrap());
    world.auth_as(&here.access_token).logout(LogoutRequest {}).await.unwrap();
    assert_eq!(enters(&world, &here).await, ended());
    assert_eq!(refusal(world.refresh(&here.refresh_token).await), refused("SESSION_REVOKED"));
    assert_eq!(enters(&world, &there).await, Ok(()));
    assert_eq!(refusal(world.auth().logout(LogoutRequest {}).await), refused("TOKEN_MISSING"));
    world.finish().await;
}

#[tokio::test]
async fn users_see_their_own_active_sessions_newest_first() {
    let world = World::start().await;
    world.customer(ANN).await;
    world.customer("bob@example.com").await;
    let mut pairs = Vec::new();
    for label in ["phone", "laptop", "tablet"] {
        let request = LoginRequest { email: ANN.into(), password: PASSWORD.into(), client_label: label.into() };
        pairs.push(world.auth().login(request).await.unwrap().into_inner());
    }
    let [_, laptop, tablet] = pairs.as_slice() else { panic!("three sessions") };
    world.auth_as(&tablet.access_token).logout(LogoutRequest {}).await.unwrap();
    let listed: Vec<_> = list(&world, &laptop.access_token)
        .await
        .into_iter()
        .map(|session| (session.client_label, session.current))
        .collect();
    let expected = [("laptop", true), ("phone", false), ("test", false)];
    assert_eq!(listed, expected.map(|(label, current)| (label.to_owned(), current)));

    let mut own = world.auth_as(&laptop.access_token);
    let request = ListSessionsRequest { page_size: 2, ..ListSessionsRequest::default() };
    let page = own.list_sessions(request).await.unwrap().into_inner();
    assert_eq!(page.sessions[0].name, laptop.session);
    assert!(page.sessions[0].expire_time.unwrap().seconds > page.sessions[0].create_time.unwrap().seconds);
    let request = ListSessionsRequest { page_size: 2, page_token: page.next_page_token };
    let rest = own.list_sessions(request.clone()).await.unwrap().into_inner();
    assert_eq!((rest.sessions.len(), rest.next_page_token.as_str()), (1, ""));
    // Another's page token leads nowhere.
    let bob = world.log_in("bob@example.com", PASSWORD).await.unwrap();
    let status = world.auth_as(&bob.access_token).list_sessions(request).await.unwrap_err();
    assert_eq!(fields(&status), ["page_token"]);
    world.finish().await;
}

#[tokio::test]
async fn users_end_their_own_sessions_and_operators_any() {
    let world = World::start().await;
    world.customer(ANN).await;
    world.customer("bob@example.com").await;
    let (ann, bob) =
        (world.log_in(ANN, PASSWORD).await.unwrap(), world.log_in("bob@example.com", PASSWORD).await.unwrap());
    let other = world.log_in(ANN, PASSWORD).await.unwrap();
    let delete = |pair: &LoginResponse| DeleteSessionRequest { name: pair.session.clone() };

    let mut own = world.auth_as(&ann.access_token);
    own.delete_session(delete(&other)).await.unwrap();
    own.delete_session(delete(&other)).await.expect("a repeat changes nothing");
    assert_eq!((enters(&world, &other).await, enters(&world, &ann).await), (ended(), Ok(())));

    let hidden = own.delete_session(delete(&bob)).await.unwrap_err();
    let missing = DeleteSessionRequest { name: "sessions/0190a7e0-0000-7000-8000-000000000000".into() };
    let missing = own.delete_session(missing).await.unwrap_err();
    assert_eq!((hidden.code(), reason(&hidden)), (missing.code(), reason(&missing)));
    assert_eq!((hidden.code(), enters(&world, &bob).await), (Code::NotFound, Ok(())));

    let operator = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap();
    world.auth_as(&operator.access_token).delete_session(delete(&bob)).await.unwrap();
    assert_eq!(enters(&world, &bob).await, ended());
    let bad = DeleteSessionRequest { name: "sessions/mine".into() };
    assert_eq!(fields(&own.delete_session(bad).await.unwrap_err()), ["name"]);
    world.finish().await;
}

#[tokio::test]
async fn a_change_of_password_or_role_and_a_deletion_end_all_sessions() {
    let world = World::start().await;
    let operator = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap();
    for (email, change) in [
        ("password@example.com", User { password: "another horse".into(), ..User::default() }),
        ("role@example.com", User { role: Role::Operator.into(), ..User::default() }),
        ("deletion@example.com", User::default()),
        ("name@example.com", User { display_name: "Another".into(), ..User::default() }),
    ] {
        world.customer(email).await;
        let pairs = [world.log_in(email, PASSWORD).await.unwrap(), world.log_in(email, PASSWORD).await.unwrap()];
        let name = pairs[0].user.clone();
        let mut users = world.with(&operator.access_token);
        if change == User::default() {
            users.delete_user(DeleteUserRequest { name, etag: String::new() }).await.unwrap();
        } else {
            let renamed = !change.display_name.is_empty();
            let request = UpdateUserRequest { user: Some(User { name, ..change }), update_mask: None };
            users.update_user(request).await.unwrap();
            if renamed {
                assert_eq!(enters(&world, &pairs[0]).await, Ok(()), "another name ends nothing");
                continue;
            }
        }
        for pair in &pairs {
            assert_eq!(enters(&world, pair).await, ended(), "{email}");
            assert_eq!(refusal(world.refresh(&pair.refresh_token).await), refused("SESSION_REVOKED"), "{email}");
        }
    }
    world.finish().await;
}

#[tokio::test]
async fn no_session_is_opened_during_a_change_of_password_or_role_or_a_deletion() {
    let world = World::start().await;
    let (ann, _) = world.customer(ANN).await;
    let hash = world.database.value("SELECT password_hash FROM users WHERE email = $1", &[&ANN]).await;
    let sessions = Sessions::new(world.system(), world.system());
    let lifetimes = Lifetimes { access: Duration::from_secs(900), idle: Duration::from_secs(3600) };
    let checked = |password_hash: &String, role| NewSession {
        id: Ids::system().next(),
        client_label: String::new(),
        user: ann.name.strip_prefix("users/").unwrap().parse().unwrap(),
        role,
        password_hash: password_hash.clone().into(),
        refresh: refresh_hash(&Ids::system().next().to_string()),
    };
    let open = async |new: NewSession| {
        sessions.open(&new, lifetimes.from(Ids::system().now()), Duration::from_secs(5)).await.unwrap()
    };
    assert!(open(checked(&hash, domain::Role::Customer)).await);
    assert!(!open(checked(&"another".to_owned(), domain::Role::Customer)).await, "the password has changed");
    assert!(!open(checked(&hash, domain::Role::Operator)).await, "the role has changed");
    let delete = DeleteUserRequest { name: ann.name.clone(), etag: String::new() };
    world.operator().await.delete_user(delete).await.unwrap();
    assert!(!open(checked(&hash, domain::Role::Customer)).await, "the user is gone");
    world.finish().await;
}

#[tokio::test]
async fn a_refreshed_token_carries_the_current_role() {
    let world = World::start().await;
    let (ann, _) = world.customer(ANN).await;
    let promote = UpdateUserRequest {
        user: Some(User { name: ann.name, role: Role::Operator.into(), ..User::default() }),
        update_mask: None,
    };
    world.operator().await.update_user(promote).await.unwrap();
    let pair = world.log_in(ANN, PASSWORD).await.unwrap();
    let pair = world.refresh(&pair.refresh_token).await.unwrap();
    assert!(world.with(&pair.access_token).list_users(ListUsersRequest::default()).await.is_ok());
    world.finish().await;
}

#[tokio::test]
async fn row_level_security_hides_others_sessions_and_every_refresh_token() {
    let world = World::start().await;
    let (ann, _) = world.customer(ANN).await;
    world.customer("bob@example.com").await;
    let settings = world.database.settings();
    let registry = flotilla_telemetry::Registry::new();
    let pool = flotilla_postgres::Pool::connect("user", &settings.user_url, &settings, &registry).unwrap();
    let id = ann.name.strip_prefix("users/").unwrap().parse().unwrap();
    assert_eq!(pool.query_as(id, "SELECT id FROM sessions", &[]).await.unwrap().len(), 1);
    assert!(pool.query("SELECT id FROM sessions", &[]).await.unwrap().is_empty());
    for forbidden in
        ["SELECT hash FROM refresh_tokens", "DELETE FROM sessions", "UPDATE sessions SET client_label = ''"]
    {
        let error = pool.query_as(id, forbidden, &[]).await.unwrap_err();
        assert_eq!(error.sql_state(), Some("42501"), "{forbidden}");
    }
    world.finish().await;
}

#[tokio::test]
async fn ended_sessions_are_deleted_and_active_ones_stay() {
    let world = World::start().await;
    world.customer(ANN).await;
    let (living, over) = (world.log_in(ANN, PASSWORD).await.unwrap(), world.log_in(ANN, PASSWORD).await.unwrap());
    world.auth_as(&over.access_token).logout(LogoutRequest {}).await.unwrap();
    let living = world.refresh(&living.refresh_token).await.unwrap();
    let sessions = Sessions::new(world.system(), world.system());
    let now = Ids::system().now();
    assert_eq!(sessions.clean(now, 1000).await.unwrap(), 0, "an access token of what has ended may live");
    let later = now + Duration::from_secs(3600);
    assert_eq!(sessions.clean(later, 1000).await.unwrap(), 1);
    assert_eq!(world.count("SELECT count(*) FROM sessions").await, 2);
    assert_eq!(
        world.count("SELECT count(*) FROM refresh_tokens").await,
        3,
        "the used one is kept to notice a second use"
    );
    assert!(world.refresh(&living.refresh_token).await.is_ok());

    let much_later = now + Duration::from_secs(31 * 24 * 3600);
    let mut rounds = 0;
    while sessions.clean(much_later, 1).await.unwrap() > 0 {
        rounds += 1;
    }
    assert!((2..=4).contains(&rounds), "{rounds} rounds of one row");
    assert_eq!(world.count("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM refresh_tokens)").await, 0);
    world.finish().await;
}
