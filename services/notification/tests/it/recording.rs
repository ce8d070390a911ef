//! Deliveries are recorded once, in order.

use std::collections::HashSet;

use flotilla_flags::Flags;
use flotilla_messaging::{Event, Handler as _, Outcome};
use flotilla_notification::Notification;
use flotilla_notification::events::{Recorder, SingleNotice};
use flotilla_notification::feed::Hub;
use flotilla_postgres::Pool;
use flotilla_proto::identity::v1::{UserDeleted, UserUpdated};
use flotilla_proto::notification::v1::DeliveryRecorded;
use flotilla_proto::orders::v1::{OrderCancelled, OrderPlaced, OrderReason, OrderRejected};
use flotilla_proto::payments::v1::{AccountToppedUp, PaymentDecline, PaymentDeclined, PaymentRefunded};
use flotilla_testkit::{ServiceHarness, assert_outbox_published, eventually};
use prometheus::Registry;
use prost::Message as _;
use uuid::Uuid;

use crate::world::{TIMEOUT, World};

#[tokio::test]
async fn a_customer_is_notified_of_every_relevant_event() {
    let world = World::start().await;
    let (ada, order) = (world.ids.next(), world.ids.next());
    let (customer_id, order_id) = (ada.to_string(), order.to_string());
    let refunded = |charged| PaymentRefunded {
        order_id: order_id.clone(),
        customer_id: customer_id.clone(),
        charged,
        amount_minor: 500,
        currency_code: "EUR".into(),
    };
    let events = [
        (world.signed_up(ada), "Welcome to Flotilla, Ada."),
        (
            world.event(&AccountToppedUp {
                customer_id: customer_id.clone(),
                amount_minor: 100_000,
                currency_code: "USD".into(),
            }),
            "1000.00 USD was added to your account.",
        ),
        (world.charged(ada, order), "You paid 12.34 USD for your order."),
        (world.confirmed(ada, order), "Your order over 12.34 USD is confirmed."),
        (
            world.event(&PaymentDeclined {
                order_id: order_id.clone(),
                customer_id: customer_id.clone(),
                decline: PaymentDecline::InsufficientFunds.into(),
            }),
            "Your payment was declined: your balance is too low.",
        ),
        (
            world.event(&OrderRejected {
                order_id: order_id.clone(),
                customer_id: customer_id.clone(),
                reason: OrderReason::OutOfStock.as_str_name().into(),
            }),
            "Your order could not be fulfilled: a product is out of stock.",
        ),
        (
            world.event(&OrderRejected {
                order_id: order_id.clone(),
                customer_id: customer_id.clone(),
                reason: "ORDER_REASON_OF_TOMORROW".into(),
            }),
            "Your order could not be fulfilled: something went wrong.",
        ),
        (
            world.event(&OrderCancelled { order_id: order_id.clone(), customer_id: customer_id.clone() }),
            "Your order is cancelled.",
        ),
        (world.event(&refunded(true)), "You got 5.00 EUR back for your order."),
    ];
    for (index, (event, _)) in (1..).zip(&events) {
        world.send_until(std::slice::from_ref(event), index).await;
    }
    let texts: Vec<_> = events.iter().map(|(_, text)| *text).collect();
    assert_eq!(world.texts(ada).await, texts);
    let with_order = "SELECT count(*) FROM deliveries WHERE order_id = $1";
    assert_eq!(world.database.value::<i64>(with_order, &[&order]).await, 7);
    world.finish().await;
}

#[tokio::test]
async fn events_that_do_not_concern_customers_are_ignored() {
    let world = World::start().await;
    let (ada, order) = (world.ids.next(), world.ids.next());
    let silent = [
        world.event(&OrderPlaced { order_id: order.to_string(), customer_id: ada.to_string(), ..Default::default() }),
        world.event(&UserUpdated { user: format!("users/{ada}"), ..Default::default() }),
        world.event(&UserDeleted { user: format!("users/{ada}") }),
        // A charge that came after the refund.
        world.event(&PaymentDeclined {
            order_id: order.to_string(),
            customer_id: ada.to_string(),
            decline: PaymentDecline::Refunded.into(),
        }),
        world.event(&PaymentRefunded {
            order_id: order.to_string(),
            customer_id: ada.to_string(),
            charged: false,
            ..Default::default()
        }),
    ];
    world.send(&silent).await;
    world.send_until(&[world.signed_up(ada), world.charged(ada, order), world.confirmed(ada, order)], 3).await;
    world.finish().await;
}

#[tokio::test]
async fn a_delivery_is_published_only_if_a_consumer_of_it_is_declared() {
    let world = World::start().await;
    let (ada, bob) = (world.ids.next(), world.ids.next());
    world.send_until(&[world.signed_up(ada)], 1).await;
    assert_eq!(world.database.outbox().await, [], "no consumer is declared");

    let (settings, registry) = (world.database.settings(), Registry::new());
    let pool = Pool::connect("system", &settings.system_url, &settings, &registry).unwrap();
    let single = SingleNotice::new(Flags::builder().build(&registry).await.unwrap());
    let recorders = Recorder::of_each_consumer(&world.ids, &Hub::new(1), &single, true, &registry).unwrap();
    let event = world.signed_up(bob);
    let recorder = recorders.iter().find(|recorder| recorder.knows(&event.kind)).unwrap();
    let mut tx = pool.begin().await.unwrap();
    let outcomes = recorder.handle(&mut tx, std::slice::from_ref(&event)).await.unwrap();
    tx.commit().await.unwrap();
    let Outcome::Done(published) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(
        (published[0].subject.as_str(), published[0].causation_id),
        ("flotilla.notification.deliveries", Some(event.id))
    );
    let recorded: DeliveryRecorded = published[0].decode().unwrap();
    assert_eq!((recorded.sequence, recorded.kind.as_str()), (1, "DELIVERY_KIND_WELCOME"));
    assert_eq!(recorded.customer_id, bob.to_string());
    let id: Uuid = world.database.value("SELECT id FROM deliveries WHERE customer_id = $1", &[&bob]).await;
    assert_eq!(recorded.delivery_id, id.to_string());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_and_concurrent_consumers_leave_no_gap_and_no_duplicate() {
    let world = World::start_with(|settings| settings.feed.max_batch = 50).await;
    let replica = ServiceHarness::start::<Notification>(world.settings.clone()).await;
    let customers: Vec<Uuid> = (0..7).map(|_| world.ids.next()).collect();
    let mut events: Vec<Event> = customers.iter().map(|customer| world.signed_up(*customer)).collect();
    for round in 0..60 {
        for (place, customer) in customers.iter().enumerate() {
            let order = world.ids.next();
            events.push(world.charged(*customer, order));
            // Another order of customers in each frame, so that batches meet the feeds in different orders.
            let other = customers[(place * 3 + round) % customers.len()];
            events.push(world.confirmed(other, order));
        }
    }
    let distinct = i64::try_from(events.len()).unwrap();
    world.send(&events).await;
    world.send(&events).await;
    events.reverse();
    world.send_until(&events, distinct).await;
    let doubles = "SELECT count(*) FROM (SELECT event_id FROM deliveries GROUP BY event_id HAVING count(*) > 1) AS d";
    assert_eq!(world.database.value::<i64>(doubles, &[]).await, 0);
    let per_customer: i64 =
        world.database.value("SELECT max(sequence) FROM deliveries WHERE customer_id = $1", &[&customers[0]]).await;
    assert_eq!(per_customer, 1 + 60 + 60);
    replica.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_malformed_event_is_parked_and_blocks_no_other() {
    let world = World::start().await;
    let (ada, order) = (world.ids.next(), world.ids.next());
    let mut foreign = world.charged(ada, order);
    foreign.data = flotilla_proto::payments::v1::PaymentCharged {
        order_id: order.to_string(),
        customer_id: ada.to_string(),
        amount_minor: 1,
        currency_code: "???".into(),
    }
    .encode_to_vec()
    .into();
    let mut broken = world.charged(ada, order);
    broken.data = vec![0xff].into();
    let mut stranger = world.charged(ada, order);
    stranger.kind = "flotilla.payments.v9.PaymentTeleported".into();
    world.send(&[foreign, broken, stranger, world.charged(ada, order)]).await;
    world.wait_for(1).await;
    let dead = "SELECT count(*) FROM parked WHERE state = 'dead'";
    eventually("three dead letters", TIMEOUT, || async { world.database.value::<i64>(dead, &[]).await == 3 }).await;
    let distinct: HashSet<String> =
        world.database.query("SELECT reason FROM parked", &[]).await.iter().map(|row| row.get(0)).collect();
    assert_eq!(distinct.len(), 3, "each has its reason: {distinct:?}");
    assert_outbox_published(&world.database).await;
    world.check_sequences().await;
    world.service.stop().await;
}
