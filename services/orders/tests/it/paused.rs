//! The flag `accept-orders`: switched off, new orders are refused clearly and nothing else changes.

use std::time::Duration;

use async_nats::jetstream;
use flotilla_auth::Role;
use flotilla_flags::FlagDefinitions;
use flotilla_proto::orders::v1::{OrderState, WatchOrderRequest};
use flotilla_rpc::Details;
use flotilla_service::remote::{BUCKET, RemoteSettings};
use flotilla_testkit::{eventually, nats_client};
use tonic::{Code, Status};

use crate::world::{TIMEOUT, World, id_of, request};

fn switch(variant: &str) -> String {
    format!(r#"{{"state":"ENABLED","variants":{{"on":true,"off":false}},"defaultVariant":"{variant}"}}"#)
}

fn definitions(flag: &str) -> FlagDefinitions {
    format!(r#"{{"flags":{{"accept-orders":{flag}}}}}"#).parse().unwrap()
}

fn assert_paused(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let details = Details::of(status);
    assert_eq!(details.reason.as_deref(), Some("ORDERS_PAUSED"));
    assert_eq!(details.retry_after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn new_orders_are_refused_and_accepted_ones_continue() {
    let world = World::start().await;
    let lines = [("apple", 2)];
    let first = world.place("key", &lines).await.unwrap();
    let id = id_of(&first);
    world.settings.flags.definitions.set(definitions(&switch("off")));

    assert_paused(&world.place("other", &lines).await.unwrap_err());
    assert_eq!(world.place("key", &lines).await.unwrap().name, first.name, "a repeat gets its order");
    let status = world.place("key", &[("apple", 3)]).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status}");
    let status = world.place("bad", &[("apple", 0)]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert_eq!(world.count("orders").await, 1, "a refused request leaves nothing");

    world.others.wait_for(id, "ReserveStock").await;
    world.others.publish(&[world.others.reserved(id)]).await;
    world.others.wait_for(id, "ChargePayment").await;
    world.others.publish(&[world.others.charged(id)]).await;
    world.until(id, OrderState::Confirmed).await;
    let watched = world.client().watch_order(WatchOrderRequest { name: first.name, resume_token: String::new() }).await;
    assert!(watched.is_ok(), "what was accepted can be watched");

    world.settings.flags.definitions.set(definitions(&switch("on")));
    world.place("other", &lines).await.unwrap();
    let metrics = world.service.metrics();
    for line in [
        r#"flotilla_orders_placed_total{outcome="paused"} 1"#,
        r#"flotilla_flag_evaluations_total{flag="accept-orders",reason="static",variant="off"} 3"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    world.stop().await;
}

#[tokio::test]
async fn orders_can_be_paused_for_some_customers_only() {
    let world = World::start().await;
    let customer = world.customer;
    let rule = format!(r#"{{"if":[{{"in":[{{"var":"targetingKey"}},["{customer}"]]}},"off"]}}"#);
    let flag = switch("on").replace("{\"state\"", &format!(r#"{{"targeting":{rule},"state""#));
    world.settings.flags.definitions.set(definitions(&flag));
    assert_paused(&world.place("key", &[("apple", 1)]).await.unwrap_err());
    let mut other = world.client_as(world.ids.next(), Role::Customer);
    other.place_order(request("key", &[("apple", 1)])).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_flag_stays_in_force_while_its_bucket_is_lost_and_is_restored_afterwards() {
    let world = World::start_with(|settings| {
        settings.common.process.remote =
            RemoteSettings { nats_url: settings.common.nats.url.clone(), ..RemoteSettings::default() };
    })
    .await;
    let lines = [("apple", 2)];
    let jetstream = jetstream::new(nats_client(&world.settings.common.nats.url).await);
    let bucket = jetstream.get_key_value(BUCKET).await.unwrap();
    let order = |key: &'static str| world.place(key, &lines);
    order("before").await.unwrap();
    bucket.put("flags.accept-orders", switch("off").into()).await.unwrap();
    eventually("new orders are refused", TIMEOUT, || async {
        // Under keys of accepted orders nothing is refused, so each attempt takes its own.
        match world.place(&world.ids.next().to_string(), &lines).await {
            Err(status) => {
                assert_paused(&status);
                Ok(())
            }
            Ok(_) => Err("still accepted"),
        }
    })
    .await;

    jetstream.delete_key_value(BUCKET).await.unwrap();
    assert_paused(&order("after").await.unwrap_err());
    let again = eventually("the bucket is there again", TIMEOUT, || async {
        let bucket = jetstream.get_key_value(BUCKET).await.map_err(|_| "no bucket")?;
        let value = bucket.get("flags.accept-orders").await.ok().flatten().ok_or("no key")?;
        Ok::<_, &str>((bucket, value))
    })
    .await;
    assert_eq!(again.1, switch("off"));
    assert_paused(&order("after").await.unwrap_err());

    again.0.put("flags.accept-orders", switch("on").into()).await.unwrap();
    eventually("new orders are accepted", TIMEOUT, || async { order("after").await.map_err(|_| "refused") }).await;
    world.stop().await;
}
