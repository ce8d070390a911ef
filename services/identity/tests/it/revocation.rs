//! What ends is refused everywhere within the stated time, and no follower misses it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use flotilla_auth::{AuthError, AuthSettings, Authenticator};
use flotilla_clock::Ids;
use flotilla_identity::{
    config::AuthSettings as IdentityAuthSettings,
    storage::{Cursor, RevokedSessions},
};
use flotilla_proto::identity::v1::{
    DeleteSessionRequest, GetUserRequest, ListRevokedSessionsRequest, LogoutRequest,
    user_service_client::UserServiceClient,
};
use flotilla_rpc::{ClientSettings, RemoteKeys};
use flotilla_testkit::{Stack, eventually, fields, refusal};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use crate::support::{ADMIN_EMAIL, PASSWORD, World};

/// The deadline of everything else.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The stated time.
const BOUND: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_ended_session_is_refused_by_every_process_within_five_seconds() {
    let world = World::start().await;
    let replica = world.replica().await;
    let identity = Arc::new(RemoteKeys::connect(&world.service.url(), &ClientSettings::default()).unwrap());
    let elsewhere = Authenticator::new(&AuthSettings::default(), identity.clone());
    let shutdown = CancellationToken::new();
    let watch = tokio::spawn(elsewhere.watch_revocations(identity, shutdown.clone()));

    let (ann, _) = world.customer("ann@example.com").await;
    let pair = world.log_in("ann@example.com", PASSWORD).await.unwrap();
    let mut on_replica = UserServiceClient::new(replica.channel_as(&pair.access_token));
    let request = GetUserRequest { name: ann.name };
    on_replica.get_user(request.clone()).await.unwrap();
    elsewhere.verify(&pair.access_token).await.unwrap();

    let operator = world.log_in(ADMIN_EMAIL, PASSWORD).await.unwrap();
    let delete = DeleteSessionRequest { name: pair.session };
    world.auth_as(&operator.access_token).delete_session(delete).await.unwrap();
    let began = Instant::now();
    eventually("refused by the other replica", BOUND, || async {
        let answer = on_replica.clone().get_user(request.clone()).await;
        if answer.is_ok() { Err("it still enters".to_owned()) } else { Ok(()) }
    })
    .await;
    let expected = (Code::Unauthenticated, "SESSION_REVOKED".to_owned());
    assert_eq!(refusal(on_replica.get_user(request).await), expected);
    eventually("refused by another service", BOUND.saturating_sub(began.elapsed()), || async {
        let answer = elsewhere.verify(&pair.access_token).await;
        if answer == Err(AuthError::Revoked) { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert!(elsewhere.verify(&operator.access_token).await.is_ok());

    shutdown.cancel();
    watch.await.unwrap();
    replica.stop().await;
    world.finish().await;
}

/// A session of a new user, opened.
async fn session(world: &World, email: &str) -> (Uuid, String) {
    world.customer(email).await;
    let pair = world.log_in(email, PASSWORD).await.unwrap();
    (pair.session.strip_prefix("sessions/").unwrap().parse().unwrap(), pair.access_token)
}

async fn log_out(world: &World, token: &str) {
    world.auth_as(token).logout(LogoutRequest {}).await.unwrap();
}

#[tokio::test]
async fn a_follower_misses_nothing_although_transactions_commit_out_of_order() {
    let world = World::start().await;
    let (slow, _) = session(&world, "slow@example.com").await;
    let (fast, fast_token) = session(&world, "fast@example.com").await;
    let (later, later_token) = session(&world, "later@example.com").await;
    let revoked = RevokedSessions::new(world.system(), Ids::system());
    let (revocations, cursor) = revoked.since(Cursor::default()).await.unwrap();
    assert_eq!(revocations, []);

    // The earlier transaction commits after the later one was returned.
    let pool = world.system();
    let tx = pool.begin().await.unwrap();
    let end = "UPDATE sessions SET revoked_xid = pg_current_xact_id() WHERE id = $1";
    tx.execute(end, &[&slow]).await.unwrap();
    log_out(&world, &fast_token).await;
    let sessions_of =
        |revocations: Vec<flotilla_auth::Revoked>| revocations.iter().map(|one| one.session).collect::<BTreeSet<_>>();
    let (revocations, cursor) = revoked.since(cursor).await.unwrap();
    assert_eq!(sessions_of(revocations), BTreeSet::from([fast]), "returned although an older transaction is under way");
    tx.commit().await.unwrap();
    let (revocations, cursor) = revoked.since(cursor).await.unwrap();
    assert!(sessions_of(revocations).contains(&slow));

    log_out(&world, &later_token).await;
    let (revocations, mut cursor) = revoked.since(cursor).await.unwrap();
    assert!(sessions_of(revocations).contains(&later));
    // While transactions are under way anywhere on the server, what was returned may be repeated; then no more.
    let settled = async {
        loop {
            let (revocations, next) = revoked.since(cursor).await.unwrap();
            cursor = next;
            if revocations.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("nothing is returned again and again");

    // A cursor without a server run, or with another one: everything is returned again.
    for old in ["18446744073709551615", "18446744073709551615.0.00000000000000000000000000000001.18446744073709551615"]
    {
        let old: Cursor = old.parse().unwrap();
        assert_eq!(sessions_of(revoked.since(old).await.unwrap().0), BTreeSet::from([slow, fast, later]));
    }
    world.finish().await;
}

/// Runs transactions that only advance the transaction id.
async fn pass_transactions(world: &World, count: i64) {
    let sql = "DO $$ BEGIN FOR n IN 1..COUNT LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
    world.database.query(&sql.replace("COUNT", &count.to_string()), &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_still_learns_of_ended_sessions_after_a_restore_of_the_database() {
    let stack = Stack::start().await.unwrap();
    let world = World::start_on(&stack, IdentityAuthSettings::default()).await;
    let (_, token) = session(&world, "ann@example.com").await;
    stack.save_postgres().await.unwrap();
    pass_transactions(&world, 1_000).await;
    let pool = world.system();
    let revoked = RevokedSessions::new(pool.clone(), Ids::system());
    let (revocations, cursor) = revoked.since(Cursor::default()).await.unwrap();
    assert_eq!(revocations, []);

    stack.restore_postgres().await.unwrap();
    let ended = eventually("the session is ended", TIMEOUT, || async {
        world.auth_as(&token).logout(LogoutRequest {}).await.map_err(|status| status.to_string())?;
        Ok::<_, String>(())
    });
    ended.await;
    // The new log outgrows the cursor before the next request.
    pass_transactions(&world, 2_000).await;
    let asked = || async { revoked.since(cursor).await.map_err(|error| error.to_string()) };
    let (revocations, next) = eventually("the database answers", TIMEOUT, asked).await;
    assert_eq!(revocations.len(), 1, "the cursor was {cursor}, the next is {next}");
    world.service.stop().await;
}

#[tokio::test]
async fn long_lists_are_paged_and_expired_sessions_are_left_out() {
    let world = World::start().await;
    world.customer("ann@example.com").await;
    let fill = "WITH filled AS (
            INSERT INTO sessions
            SELECT gen_random_uuid(), users.id, '', now(), now(), now(),
                   now() + CASE WHEN n <= 2500 THEN interval '15 min' ELSE interval '-6 min' END, pg_current_xact_id()
            FROM users, generate_series(1, 3000) AS n WHERE email = 'ann@example.com'
            RETURNING 1
        ) SELECT count(*) FROM filled";
    assert_eq!(world.count(fill).await, 3000);
    let (mut revocations, mut cursor, mut parts) = (BTreeSet::new(), String::new(), 0);
    loop {
        let answer =
            world.auth().list_revoked_sessions(ListRevokedSessionsRequest { cursor }).await.unwrap().into_inner();
        parts += 1;
        let full = answer.sessions.len() == 1000;
        revocations.extend(answer.sessions.into_iter().map(|session| session.session_id));
        cursor = answer.cursor;
        if !full {
            break;
        }
    }
    assert_eq!((revocations.len(), parts), (2500, 3));

    let bad = ListRevokedSessionsRequest { cursor: "rubbish".into() };
    assert_eq!(fields(&world.auth().list_revoked_sessions(bad).await.unwrap_err()), ["cursor"]);
    world.finish().await;
}
