//! Guessing: wrong passwords are throttled by growing waits, users aren't locked out by others, and throttled attempts
//! cost nothing.

use std::time::{Duration, SystemTime};

use flotilla_identity::{
    config::GuessingSettings,
    storage::{Count, FailedAttempts},
};
use flotilla_proto::identity::v1::{CreateUserRequest, RefreshTokenRequest, UpdateUserRequest, User};
use flotilla_rpc::Details;
use flotilla_testkit::{eventually, fields, reason, refusal};
use futures::future::join_all;
use tonic::Code;

use crate::support::{PASSWORD, World, from, sign_up};

const ANN: &str = "ann@example.com";
const HOME: &str = "198.51.100.7";
const ATTACKER: &str = "192.0.2.1";
const ELSEWHERE: &str = "203.0.113.9";
const TIMEOUT: Duration = Duration::from_secs(20);

fn guarded(per_account_and_network: u32, per_network: u32, per_account: u32) -> GuessingSettings {
    GuessingSettings { per_account_and_network, per_network, per_account }
}

/// The reasons of several wrong log-ins for an account in sequence.
async fn guess(world: &World, address: &str, email: &str, times: usize) -> Vec<String> {
    let mut reasons = Vec::new();
    for guess in 0..times {
        let answer = World::log_in_from(&world.service, address, email, &format!("wrong horse {guess}")).await;
        reasons.push(refusal(answer).1);
    }
    reasons
}

fn count(reasons: &[String], wanted: &str) -> usize {
    reasons.iter().filter(|reason| *reason == wanted).count()
}

/// A log-in with the right password.
async fn right(world: &World, address: &str, email: &str) -> Result<(), String> {
    World::log_in_from(&world.service, address, email, PASSWORD).await.map(drop).map_err(|status| reason(&status))
}

#[tokio::test]
async fn of_two_hundred_wrong_passwords_at_once_only_a_few_are_checked() {
    let world = World::start().await;
    world.customer(ANN).await;
    let guesses = (0..200).map(|guess| {
        let (service, wrong) = (&world.service, format!("wrong horse {guess}"));
        async move { World::log_in_from(service, ATTACKER, ANN, &wrong).await.unwrap_err() }
    });
    let answers = join_all(guesses).await;
    let guessed = answers.iter().filter(|status| reason(status) == "BAD_CREDENTIALS").count();
    // Five are free, and each further one waits twice as long as the previous one: fourteen would take four minutes.
    assert!((6..14).contains(&guessed), "{guessed} were checked");
    for status in answers.iter().filter(|status| reason(status) != "BAD_CREDENTIALS") {
        assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS"));
        assert!(Details::of(status).retry_after >= Some(Duration::from_secs(1)), "{status:?}");
    }
    let metrics = world.service.metrics();
    let wrong = format!("flotilla_identity_attempts_total{{outcome=\"wrong\",secret=\"password\"}} {guessed}");
    let refused =
        format!("flotilla_identity_attempts_total{{outcome=\"refused\",secret=\"password\"}} {}", 200 - guessed);
    assert!(metrics.contains(&wrong) && metrics.contains(&refused), "{metrics}");
    world.finish().await;
}

#[tokio::test]
async fn each_failure_has_its_delay_and_the_last_delay_applies_to_all_that_follow() {
    let world = World::start().await;
    let attempts = FailedAttempts::new(world.system());
    let (key, day) = ([7; 32], Duration::from_secs(86_400));
    let count = Count { waits: vec![0.0, 10.0, 20.0, 40.0], forget: day };
    for wait in [0.0, 10.0, 20.0, 40.0, 40.0, 40.0] {
        let before: SystemTime = world.database.value("SELECT clock_timestamp()", &[]).await;
        assert!(attempts.count(&key, &count, false).await.unwrap());
        let after: SystemTime = world.database.value("SELECT clock_timestamp()", &[]).await;
        let until: SystemTime = world.database.value("SELECT blocked_until FROM failed_attempts", &[]).await;
        let counted = until - Duration::from_secs_f64(wait);
        assert!((before..=after).contains(&counted), "{wait}: {before:?} {counted:?} {after:?}");
    }
    assert!(!attempts.count(&key, &count, true).await.unwrap(), "a wait stands");
    // Two failures decay in two days, and no more were counted than the longest wait needs.
    world
        .database
        .query("UPDATE failed_attempts SET forgotten_at = forgotten_at - interval '2 days', blocked_until = now()", &[])
        .await;
    let before: SystemTime = world.database.value("SELECT clock_timestamp()", &[]).await;
    assert!(attempts.count(&key, &count, true).await.unwrap());
    let until: SystemTime = world.database.value("SELECT blocked_until FROM failed_attempts", &[]).await;
    assert!(
        until >= before + Duration::from_secs(20) && until < before + Duration::from_secs(40) + TIMEOUT,
        "{until:?}"
    );
    world.finish().await;
}

#[tokio::test]
async fn a_delay_ends_and_the_right_password_resets_the_failures() {
    let world = World::start_guarded(guarded(2, 50, 100)).await;
    world.customer(ANN).await;
    let reasons = guess(&world, ATTACKER, ANN, 5).await;
    assert_eq!(reasons[3], "TOO_MANY_ATTEMPTS");
    assert_eq!(right(&world, ATTACKER, ANN).await, Err("TOO_MANY_ATTEMPTS".to_owned()));
    world.database.query("UPDATE failed_attempts SET blocked_until = now()", &[]).await;
    eventually("the wait is over", TIMEOUT, || right(&world, ATTACKER, ANN)).await;
    let left = "SELECT count(*) FROM failed_attempts WHERE forgotten_at > now() + interval '30 minutes'";
    assert_eq!(world.count(left).await, 0, "the count of the account and the network, which alone lasts for hours");
    world.finish().await;
}

#[tokio::test]
async fn guesses_do_not_lock_a_user_out_from_known_networks() {
    let world = World::start().await;
    world.customer(ANN).await;
    assert_eq!(right(&world, HOME, ANN).await, Ok(()));
    let reasons = guess(&world, ATTACKER, ANN, 30).await;
    assert!(count(&reasons, "TOO_MANY_ATTEMPTS") > 10, "{reasons:?}");
    assert_eq!(right(&world, ATTACKER, ANN).await, Err("TOO_MANY_ATTEMPTS".to_owned()), "the attacker has to wait");
    assert_eq!(right(&world, HOME, ANN).await, Ok(()), "the user is where they have signed in before");
    assert_eq!(right(&world, ELSEWHERE, ANN).await, Ok(()), "the user is in a new place");
    world.finish().await;
}

#[tokio::test]
async fn guesses_from_many_networks_slow_down_only_unknown_networks() {
    let world = World::start_guarded(guarded(5, 50, 10)).await;
    world.customer(ANN).await;
    assert_eq!(right(&world, HOME, ANN).await, Ok(()));
    let mut reasons = Vec::new();
    for network in 1..=30 {
        reasons.extend(guess(&world, &format!("192.0.2.{network}"), ANN, 1).await);
    }
    assert!((10..20).contains(&count(&reasons, "BAD_CREDENTIALS")), "{reasons:?}");
    assert_eq!(right(&world, ELSEWHERE, ANN).await, Err("TOO_MANY_ATTEMPTS".to_owned()));
    assert_eq!(right(&world, HOME, ANN).await, Ok(()));
    world.finish().await;
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_is_delayed_and_its_known_users_are_not() {
    let world = World::start_guarded(guarded(5, 10, 100)).await;
    world.customer(ANN).await;
    world.customer("bob@example.com").await;
    assert_eq!(right(&world, "2001:db8:1:1::1", ANN).await, Ok(()));
    let mut reasons = Vec::new();
    for guess_at in 0..30 {
        // Another /64 of the same site each time.
        let address = format!("2001:db8:1:{guess_at:x}::1");
        reasons.extend(guess(&world, &address, &format!("{guess_at}@example.com"), 1).await);
    }
    assert!((10..20).contains(&count(&reasons, "BAD_CREDENTIALS")), "{reasons:?}");
    assert_eq!(right(&world, "2001:db8:1:1::2", "bob@example.com").await, Err("TOO_MANY_ATTEMPTS".to_owned()));
    assert_eq!(right(&world, "2001:db8:1:1::2", ANN).await, Ok(()), "known there");
    assert_eq!(right(&world, "2001:db8:2:1::2", "bob@example.com").await, Ok(()), "another site");
    world.finish().await;
}

#[tokio::test]
async fn an_unknown_account_is_delayed_like_an_existing_one() {
    let world = World::start_guarded(guarded(3, 50, 100)).await;
    world.customer(ANN).await;
    let known = guess(&world, "192.0.2.10", ANN, 5).await;
    let unknown = guess(&world, "192.0.2.20", "nobody@example.com", 5).await;
    assert_eq!(known, unknown);
    assert_eq!(known[3..], ["BAD_CREDENTIALS", "TOO_MANY_ATTEMPTS"]);
    world.finish().await;
}

#[tokio::test]
async fn replicas_share_the_count_of_failures() {
    let world = World::start_guarded(guarded(4, 50, 100)).await;
    world.customer(ANN).await;
    let replica = world.replica().await;
    let mut reasons = Vec::new();
    for guess in 0..12 {
        let at = if guess % 2 == 0 { &world.service } else { &replica };
        reasons.push(refusal(World::log_in_from(at, ATTACKER, ANN, "wrong horse").await).1);
    }
    assert_eq!(reasons[..5], ["BAD_CREDENTIALS"; 5]);
    assert!(count(&reasons, "BAD_CREDENTIALS") <= 8, "{reasons:?}");
    replica.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn unknown_refresh_tokens_are_slowed_down_and_valid_ones_are_not() {
    let world = World::start_guarded(guarded(5, 3, 100)).await;
    let (_, _) = world.customer(ANN).await;
    let pair = world.log_in(ANN, PASSWORD).await.unwrap();
    let refresh = async |token: String| {
        world.auth().refresh_token(from(ATTACKER, RefreshTokenRequest { refresh_token: token })).await
    };
    let mut reasons = Vec::new();
    for guess in 0..6 {
        reasons.push(refusal(refresh(format!("guess {guess}")).await).1);
    }
    assert_eq!(reasons[..3], ["REFRESH_TOKEN_INVALID"; 3]);
    assert_eq!(reasons[5], "TOO_MANY_ATTEMPTS");
    assert!(refresh(pair.refresh_token).await.is_ok(), "its holder has the right one");
    world.finish().await;
}

#[tokio::test]
async fn a_password_change_needs_the_current_password() {
    let world = World::start_guarded(guarded(2, 50, 100)).await;
    let (ann, mut own) = world.customer(ANN).await;
    let change = |current: &str| UpdateUserRequest {
        user: Some(User {
            name: ann.name.clone(),
            password: "another horse".into(),
            current_password: current.into(),
            ..User::default()
        }),
        update_mask: None,
    };
    let missing = own.update_user(change("")).await.unwrap_err();
    assert_eq!((missing.code(), fields(&missing)), (Code::InvalidArgument, vec!["user.current_password".to_owned()]));
    let mut reasons = Vec::new();
    for _ in 0..5 {
        let status = own.update_user(from(ATTACKER, change("wrong horse"))).await.unwrap_err();
        reasons.push(reason(&status));
    }
    assert_eq!(reasons[..3], ["CURRENT_PASSWORD_WRONG"; 3]);
    assert_eq!(reasons[3], "TOO_MANY_ATTEMPTS", "a stolen token is no way to guess on");
    assert!(world.log_in(ANN, PASSWORD).await.is_ok(), "nothing has changed");
    let changed = own.update_user(from(HOME, change(PASSWORD))).await.unwrap().into_inner();
    assert_eq!((changed.password.as_str(), changed.current_password.as_str()), ("", ""));
    assert!(world.log_in(ANN, "another horse").await.is_ok());

    // An operator can set another user's password without the current one, but not their own.
    let mut operator = world.operator().await;
    operator.update_user(change("")).await.unwrap();
    let listed = operator.list_users(flotilla_proto::identity::v1::ListUsersRequest::default()).await.unwrap();
    let name = listed.into_inner().users[0].name.clone();
    let own = User { name, password: "another horse".into(), ..User::default() };
    let status = operator.update_user(UpdateUserRequest { user: Some(own), update_mask: None }).await.unwrap_err();
    assert_eq!(fields(&status), ["user.current_password"]);
    world.finish().await;
}

#[tokio::test]
async fn another_spelling_of_an_address_does_not_reset_the_failures() {
    let world = World::start_guarded(guarded(2, 50, 100)).await;
    world.customer("ivi.ii@example.com").await;
    let mut reasons = Vec::new();
    for spelling in
        ["ivi.ii", "IVI.II", "\u{130}vi.ii", "iv\u{130}.ii", "ivi.\u{130}i", "\u{130}v\u{130}.\u{130}\u{130}"]
    {
        reasons.extend(guess(&world, ATTACKER, &format!("{spelling}@example.com"), 1).await);
    }
    assert_eq!(count(&reasons, "BAD_CREDENTIALS"), 3, "{reasons:?}");
    world.finish().await;
}

#[tokio::test]
async fn a_changed_address_does_not_reset_the_failures() {
    let world = World::start_guarded(guarded(2, 50, 100)).await;
    let (ann, mut own) = world.customer(ANN).await;
    let user =
        |user: User| UpdateUserRequest { user: Some(User { name: ann.name.clone(), ..user }), update_mask: None };
    let mut reasons = Vec::new();
    for guess in 0..6 {
        let email = format!("ann-{guess}@example.com");
        own.update_user(from(ATTACKER, user(User { email, ..User::default() }))).await.unwrap();
        let (password, current_password) = ("another horse".to_owned(), format!("wrong horse {guess}"));
        let wrong = user(User { password, current_password, ..User::default() });
        reasons.push(refusal(own.update_user(from(ATTACKER, wrong)).await).1);
    }
    assert_eq!(reasons[..3], ["CURRENT_PASSWORD_WRONG"; 3]);
    assert_eq!(reasons[3..], ["TOO_MANY_ATTEMPTS"; 3], "{reasons:?}");
    let logged_in = guess(&world, ATTACKER, "ann-5@example.com", 1).await;
    assert_eq!(logged_in, ["TOO_MANY_ATTEMPTS"], "a log-in is one more attempt at the same password");
    world.finish().await;
}

#[tokio::test]
async fn one_proof_of_a_password_changes_it_once() {
    let world = World::start().await;
    let (ann, own) = world.customer(ANN).await;
    let changes = (0..6).map(|number| {
        let user = User {
            name: ann.name.clone(),
            password: format!("another horse {number}"),
            current_password: PASSWORD.into(),
            ..User::default()
        };
        let mut own = own.clone();
        async move { own.update_user(UpdateUserRequest { user: Some(user), update_mask: None }).await }
    });
    let answers = join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    world.finish().await;
}

#[tokio::test]
async fn a_repeated_sign_up_cannot_be_used_to_guess_a_password() {
    let world = World::start_guarded(guarded(2, 50, 100)).await;
    let request = CreateUserRequest { request_id: "key-1".into(), ..sign_up(ANN) };
    world.anyone().create_user(request.clone()).await.unwrap();
    let mut reasons = Vec::new();
    for guess in 0..5 {
        let mut guessed = request.clone();
        guessed.user.as_mut().unwrap().password = format!("wrong horse {guess}");
        reasons.push(refusal(world.anyone().create_user(from(ATTACKER, guessed)).await).1);
    }
    assert_eq!(reasons[..3], ["IDEMPOTENCY_KEY_REUSED"; 3]);
    assert_eq!(reasons[3], "TOO_MANY_ATTEMPTS");
    assert!(world.anyone().create_user(from(HOME, request)).await.is_ok(), "the repeat of who made it");
    world.finish().await;
}

#[tokio::test]
async fn failures_expire_and_their_rows_are_deleted() {
    let world = World::start().await;
    guess(&world, ATTACKER, "nobody@example.com", 3).await;
    assert_eq!(world.count("SELECT count(*) FROM failed_attempts").await, 3, "account and network, each, and both");
    let attempts = FailedAttempts::new(world.system());
    assert_eq!(attempts.clean(100).await.unwrap(), 0, "they count still");
    let ages = "UPDATE failed_attempts SET forgotten_at = forgotten_at - interval '1 day', blocked_until = blocked_until - interval '1 day'";
    world.database.query(ages, &[]).await;
    assert_eq!(attempts.clean(2).await.unwrap(), 2);
    assert_eq!(attempts.clean(100).await.unwrap(), 1);
    assert_eq!(world.count("SELECT count(*) FROM failed_attempts").await, 0);
    world.finish().await;
}

#[tokio::test]
async fn a_user_is_known_in_the_networks_of_their_last_log_ins_until_the_user_is_deleted() {
    let world = World::start().await;
    let (ann, mut own) = world.customer(ANN).await;
    for network in 0..40 {
        assert_eq!(right(&world, &format!("198.51.100.{network}"), ANN).await, Ok(()));
    }
    assert!(world.count("SELECT count(*) FROM known_networks").await <= 33);
    let request = flotilla_proto::identity::v1::DeleteUserRequest { name: ann.name, etag: String::new() };
    own.delete_user(request).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM known_networks").await, 0);
    world.finish().await;
}
