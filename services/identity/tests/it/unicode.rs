//! Passwords and addresses are the same in every normal form; lookalikes are refused; what an earlier version stored
//! still works.

use std::sync::Arc;

use flotilla_clock::OsRandom;
use flotilla_identity::{config::PasswordSettings, passwords::Passwords};
use flotilla_proto::identity::v1::{CreateUserRequest, User};
use flotilla_testkit::{fields, reason};
use tonic::{Code, Status};

use crate::support::{World, sign_up};

/// With an e with acute accent and a u with diaeresis: as single code points, and as letters with combining marks.
const COMPOSED: &str = "caf\u{e9} f\u{fc}r alle";
const DECOMPOSED: &str = "cafe\u{301} fu\u{308}r\u{a0}alle";
const JUERGEN: &str = "j\u{fc}rgen@ex\u{e4}mple.de";
const JUERGEN_DECOMPOSED: &str = "Ju\u{308}rgen@exa\u{308}mple.DE";
const JUERGEN_ASCII: &str = "j\u{fc}rgen@xn--exmple-cua.de";

async fn create(world: &World, email: &str, password: &str) -> Result<User, Status> {
    let mut request = sign_up(email);
    request.user.as_mut().unwrap().password = password.into();
    world.anyone().create_user(request).await.map(tonic::Response::into_inner)
}

/// The hash of a password from an earlier version: of the bytes as typed.
async fn unprepared(password: &str) -> String {
    let settings = PasswordSettings { memory_kib: 64, iterations: 1, ..PasswordSettings::default() };
    let passwords = Passwords::new(&settings, Arc::new(OsRandom)).unwrap();
    passwords.hash(password.to_owned().into()).await.unwrap().into_exposed()
}

#[tokio::test]
async fn a_password_signs_in_in_any_normal_form() {
    let world = World::start().await;
    create(&world, "ann@example.com", DECOMPOSED).await.unwrap();
    create(&world, "bob@example.com", COMPOSED).await.unwrap();
    for email in ["ann@example.com", "bob@example.com"] {
        for password in [COMPOSED, DECOMPOSED] {
            assert!(world.log_in(email, password).await.is_ok(), "{email} {password:?}");
        }
        assert!(world.log_in(email, &COMPOSED.to_uppercase()).await.is_err());
    }
    world.finish().await;
}

#[tokio::test]
async fn the_hash_of_an_unprepared_password_verifies_and_is_replaced_at_the_next_log_in() {
    let world = World::start().await;
    create(&world, "ann@example.com", COMPOSED).await.unwrap();
    let old = unprepared(DECOMPOSED).await;
    world.database.query("UPDATE users SET password_hash = $1 WHERE email = 'ann@example.com'", &[&old]).await;
    assert!(world.log_in("ann@example.com", COMPOSED).await.is_err(), "nobody knows the prepared form yet");
    assert!(world.log_in("ann@example.com", DECOMPOSED).await.is_ok());
    for password in [COMPOSED, DECOMPOSED] {
        assert!(world.log_in("ann@example.com", password).await.is_ok(), "{password:?}");
    }
    // Control characters were allowed once: such a password still opens its account, but no new password may contain
    // one.
    let old = unprepared("correct\0horse").await;
    world.database.query("UPDATE users SET password_hash = $1 WHERE email = 'ann@example.com'", &[&old]).await;
    assert!(world.log_in("ann@example.com", "correct\0horse").await.is_ok());
    let status = create(&world, "bob@example.com", "correct\0horse").await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["user.password".to_owned()]));
    world.finish().await;
}

#[tokio::test]
async fn an_address_is_the_same_in_any_normal_form_of_its_characters_and_its_domain() {
    let world = World::start().await;
    let user = create(&world, JUERGEN_DECOMPOSED, COMPOSED).await.unwrap();
    assert_eq!(user.email, "J\u{fc}rgen@ex\u{e4}mple.de");
    for form in [JUERGEN, JUERGEN_DECOMPOSED, JUERGEN_ASCII] {
        assert!(world.log_in(form, COMPOSED).await.is_ok(), "{form:?}");
        assert_eq!(reason(&create(&world, form, COMPOSED).await.unwrap_err()), "EMAIL_TAKEN", "{form:?}");
    }
    // The same sign-up in another normal form is a repeat.
    let repeated = |email: &str, name: &str| {
        let mut request = CreateUserRequest { request_id: "key-1".into(), ..sign_up(email) };
        request.user.as_mut().unwrap().display_name = name.into();
        request
    };
    let first = world.anyone().create_user(repeated("zo\u{eb}@example.com", "Zo\u{eb}")).await.unwrap().into_inner();
    let again =
        world.anyone().create_user(repeated("zoe\u{308}@EXAMPLE.com", "Zoe\u{308}")).await.unwrap().into_inner();
    assert_eq!(first, again);
    world.finish().await;
}

#[tokio::test]
async fn addresses_that_an_earlier_version_stored_unnormalized_are_found() {
    let world = World::start().await;
    for (place, stored) in [JUERGEN_DECOMPOSED, JUERGEN_ASCII].into_iter().enumerate() {
        let email = format!("{place}@example.com");
        create(&world, &email, COMPOSED).await.unwrap();
        world.database.query("UPDATE users SET email = $1 WHERE email = $2", &[&stored, &email]).await;
        assert!(world.log_in(stored, COMPOSED).await.is_ok(), "{stored:?}");
        assert!(world.log_in(JUERGEN, COMPOSED).await.is_ok(), "{stored:?}");
        assert_eq!(reason(&create(&world, JUERGEN, COMPOSED).await.unwrap_err()), "EMAIL_TAKEN", "{stored:?}");
        world.database.query("UPDATE users SET email = $2 WHERE email = $1", &[&stored, &email]).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn deceptive_addresses_and_names_are_refused() {
    let world = World::start().await;
    create(&world, "ann@example.com", COMPOSED).await.unwrap();
    for email in
        ["ann\u{200b}@example.com", "a\u{ad}nn@example.com", "\u{ff41}nn@example.com", "ann@exam\u{2028}ple.com"]
    {
        let status = create(&world, email, COMPOSED).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec!["user.email".to_owned()]),
            "{email:?}"
        );
    }
    let mut request = sign_up("bob@example.com");
    request.user.as_mut().unwrap().display_name = "\u{202e}rotarepO".into();
    assert_eq!(fields(&world.anyone().create_user(request).await.unwrap_err()), ["user.display_name"]);
    world.finish().await;
}
