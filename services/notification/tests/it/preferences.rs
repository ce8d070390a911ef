//! Preferences: what is muted isn't recorded; changes are bound to the version that they were made of.

use flotilla_auth::Role;
use flotilla_config::HumanDuration;
use flotilla_postgres::Pool;
use flotilla_proto::notification::v1::notification_service_client::NotificationServiceClient;
use flotilla_proto::notification::v1::{DeliveryKind, GetPreferencesRequest, Preferences, UpdatePreferencesRequest};
use flotilla_telemetry::Registry;
use flotilla_testkit::{eventually, fields, refusal};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{TIMEOUT, World, sequences, take};

fn name(user: Uuid) -> String {
    format!("users/{user}/notificationPreferences")
}

async fn get(world: &World, caller: Uuid, user: Uuid) -> Result<Preferences, Status> {
    let answer = world.customer(caller).get_preferences(GetPreferencesRequest { name: name(user) }).await;
    answer.map(tonic::Response::into_inner)
}

async fn mute(world: &World, user: Uuid, kinds: &[DeliveryKind], etag: &str) -> Result<Preferences, Status> {
    let muted_kinds = kinds.iter().map(|kind| (*kind).into()).collect();
    let preferences = Preferences { name: name(user), muted_kinds, etag: etag.to_owned(), ..Default::default() };
    let request = UpdatePreferencesRequest { preferences: Some(preferences), update_mask: None };
    world.customer(user).update_preferences(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn muted_notices_are_not_recorded_and_leave_no_gap() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    mute(&world, ada, &[DeliveryKind::PaymentCharged], "").await.unwrap();
    let (first, second) = (world.ids.next(), world.ids.next());
    let events = [
        world.charged(ada, first),
        world.confirmed(ada, first),
        world.charged(bob, second),
        world.charged(ada, second),
        world.confirmed(ada, second),
    ];
    world.send_until(&events, 3).await;
    assert_eq!(world.texts(ada).await.len(), 2, "two confirmations");
    assert_eq!(world.texts(bob).await.len(), 1, "bob mutes nothing");
    mute(&world, ada, &[], "").await.unwrap();
    world.send_until(&[world.charged(ada, world.ids.next())], 4).await;
    world.finish().await;
}

#[tokio::test]
async fn a_muted_notice_of_one_customer_does_not_delay_another_customers() {
    let world = World::start_with(|settings| settings.feed.poll = HumanDuration::from_secs(3_600).into()).await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    mute(&world, ada, &[DeliveryKind::PaymentCharged], "").await.unwrap();
    let mut feed = world.listen(bob, "").await;
    // One frame, so one batch: bob's delivery is the only one of two events.
    world.send(&[world.charged(ada, world.ids.next()), world.charged(bob, world.ids.next())]).await;
    assert_eq!(sequences(&take(&mut feed, 1).await), [1], "sent at once, not at the next poll");
    drop(feed);
    world.finish().await;
}

#[tokio::test]
async fn of_two_concurrent_changes_of_one_version_one_is_refused() {
    let world = World::start().await;
    let ada = world.ids.next();
    mute(&world, ada, &[], "").await.unwrap();
    let (settings, registry) = (world.database.settings(), Registry::new());
    let user = Pool::connect("user", &settings.user_url, &settings, &registry).unwrap();
    let first = user.begin_as(ada).await.unwrap();
    first.execute("UPDATE preferences SET version = version + 1", &[]).await.unwrap();
    // It has read the version that the first one replaces, and waits for the row.
    let second = mute(&world, ada, &[DeliveryKind::Welcome], "\"1\"");
    let commit = async {
        eventually("the second waits", TIMEOUT, || async {
            let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            let waiting: i64 = world.database.value(sql, &[]).await;
            if waiting > 0 { Ok(()) } else { Err("nobody does") }
        })
        .await;
        first.commit().await.unwrap();
    };
    let (second, ()) = tokio::join!(second, commit);
    assert_eq!(refusal(second), (Code::Aborted, "ETAG_MISMATCH".into()));
    assert!(get(&world, ada, ada).await.unwrap().muted_kinds.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_change_applies_only_to_the_version_that_was_read() {
    let world = World::start().await;
    let ada = world.ids.next();
    let none = get(&world, ada, ada).await.unwrap();
    assert_eq!((none.name.as_str(), none.muted_kinds.len(), none.update_time), (name(ada).as_str(), 0, None));
    let muted = mute(&world, ada, &[DeliveryKind::Welcome], &none.etag).await.unwrap();
    assert_eq!(muted.muted_kinds, [i32::from(DeliveryKind::Welcome)]);
    assert_eq!(refusal(mute(&world, ada, &[], &none.etag).await), (Code::Aborted, "ETAG_MISMATCH".into()));
    assert_eq!(get(&world, ada, ada).await.unwrap(), muted);
    let both = mute(&world, ada, &[DeliveryKind::PaymentCharged, DeliveryKind::Welcome], &muted.etag).await.unwrap();
    assert_ne!(both.etag, muted.etag);
    world.finish().await;
}

#[tokio::test]
async fn preferences_are_visible_only_to_their_customer() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    mute(&world, ada, &[DeliveryKind::Welcome], "").await.unwrap();
    assert_eq!(get(&world, bob, ada).await.unwrap_err().code(), Code::NotFound);
    let theirs = Preferences { name: name(ada), ..Default::default() };
    let request = UpdatePreferencesRequest { preferences: Some(theirs), update_mask: None };
    assert_eq!(world.customer(bob).update_preferences(request).await.unwrap_err().code(), Code::NotFound);
    let token = world.identity.token(bob, Role::Operator);
    let mut operator = NotificationServiceClient::new(world.service.channel_as(&token));
    let seen = operator.get_preferences(GetPreferencesRequest { name: name(ada) }).await.unwrap().into_inner();
    assert_eq!(seen.muted_kinds.len(), 1, "operators see them");
    world.finish().await;
}

#[tokio::test]
async fn bad_preferences_name_the_field() {
    let world = World::start().await;
    let ada = world.ids.next();
    let twice = mute(&world, ada, &[DeliveryKind::Welcome, DeliveryKind::Welcome], "").await.unwrap_err();
    assert_eq!(fields(&twice), ["preferences.muted_kinds"]);
    let none = mute(&world, ada, &[DeliveryKind::Unspecified], "").await.unwrap_err();
    assert_eq!(fields(&none), ["preferences.muted_kinds[0]"]);
    let bad = GetPreferencesRequest { name: "users/me/notificationPreferences".to_owned() };
    assert_eq!(fields(&world.customer(ada).get_preferences(bad).await.unwrap_err()), ["name"]);
    let mask = prost_types::FieldMask { paths: vec!["nonsense".to_owned()] };
    let request = UpdatePreferencesRequest {
        preferences: Some(Preferences { name: name(ada), ..Default::default() }),
        update_mask: Some(mask),
    };
    assert_eq!(fields(&world.customer(ada).update_preferences(request).await.unwrap_err()), ["update_mask"]);
    world.finish().await;
}
