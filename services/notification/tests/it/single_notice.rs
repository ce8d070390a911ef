//! The flag `single-notice`: a customer gets one notice of an order, at its end, and every order is treated one way.

use std::collections::HashMap;

use flotilla_flags::FlagDefinitions;
use flotilla_messaging::Event;
use flotilla_notification::Notification;
use flotilla_proto::orders::v1::{OrderCancelled, OrderReason, OrderRejected};
use flotilla_proto::payments::v1::{PaymentDecline, PaymentDeclined, PaymentRefunded};
use flotilla_testkit::ServiceHarness;
use uuid::Uuid;

use crate::world::World;

/// On for so many percent of the customers.
fn share(percent: u32) -> FlagDefinitions {
    let rest = 100 - percent;
    format!(
        r#"{{"flags":{{"single-notice":{{"state":"ENABLED","variants":{{"on":true,"off":false}},
            "defaultVariant":"off","targeting":{{"fractional":[["on",{percent}],["off",{rest}]]}}}}}}}}"#
    )
    .parse()
    .unwrap()
}

impl World {
    fn roll_out(&self, percent: u32) {
        self.settings.flags.definitions.set(share(percent));
    }

    fn refunded(&self, customer: Uuid, order: Uuid) -> Event {
        self.event(&PaymentRefunded {
            order_id: order.to_string(),
            customer_id: customer.to_string(),
            charged: true,
            amount_minor: 1_234,
            currency_code: "USD".into(),
        })
    }

    fn cancelled(&self, customer: Uuid, order: Uuid) -> Event {
        self.event(&OrderCancelled { order_id: order.to_string(), customer_id: customer.to_string() })
    }

    /// Sends events, and waits until all of them are applied: the last one always makes a delivery.
    async fn send_and_wait(&self, events: &[Event], recorded: i64) {
        self.send(events).await;
        for stream in ["ORDERS", "PAYMENTS"] {
            flotilla_testkit::assert_no_pending_acks(&self.settings.common.nats.url, stream).await;
        }
        self.wait_for(recorded).await;
    }
}

const CHARGED: &str = "You paid 12.34 USD for your order.";
const REFUNDED: &str = "You got 12.34 USD back for your order.";
const CONFIRMED: &str = "Your order over 12.34 USD is confirmed.";
const CANCELLED: &str = "Your order is cancelled.";

#[tokio::test]
async fn each_order_has_one_notice_at_its_end() {
    let world = World::start().await;
    world.roll_out(100);
    let ada = world.ids.next();
    let [confirmed, rejected, cancelled] = [(); 3].map(|()| world.ids.next());
    let declined = world.event(&PaymentDeclined {
        order_id: rejected.to_string(),
        customer_id: ada.to_string(),
        decline: PaymentDecline::InsufficientFunds.into(),
    });
    let rejection = world.event(&OrderRejected {
        order_id: rejected.to_string(),
        customer_id: ada.to_string(),
        reason: OrderReason::InsufficientFunds.as_str_name().into(),
    });
    world.send_and_wait(&[world.charged(ada, confirmed), declined, world.charged(ada, cancelled)], 0).await;
    world.send_and_wait(&[world.refunded(ada, cancelled)], 0).await;
    world.send_and_wait(&[world.confirmed(ada, confirmed)], 1).await;
    world.send_and_wait(&[rejection], 2).await;
    world.send_and_wait(&[world.cancelled(ada, cancelled), world.signed_up(ada)], 4).await;
    let texts = world.texts(ada).await;
    let rejected = "Your order could not be fulfilled: your balance is too low.";
    assert_eq!(texts[..2], [CONFIRMED, rejected]);
    assert!(texts.contains(&CANCELLED.to_owned()), "{texts:?}");
    world.finish().await;
}

#[tokio::test]
async fn an_order_keeps_its_variant_when_the_flag_changes() {
    let world = World::start().await;
    let [before, quiet, late, reversed] = [(); 4].map(|()| (world.ids.next(), world.ids.next()));

    // Nobody has defined the flag yet.
    world.send_and_wait(&[world.charged(before.0, before.1)], 1).await;
    world.roll_out(100);
    world.send_and_wait(&[world.charged(quiet.0, quiet.1), world.refunded(before.0, before.1)], 2).await;
    world.roll_out(0);
    world.send_and_wait(&[world.charged(late.0, late.1), world.refunded(quiet.0, quiet.1)], 3).await;
    world.send_and_wait(&[world.refunded(reversed.0, reversed.1)], 4).await;
    world.roll_out(100);
    world.send_and_wait(&[world.refunded(late.0, late.1), world.charged(reversed.0, reversed.1)], 6).await;
    world.settings.flags.definitions.set(FlagDefinitions::default());
    let repeat = world.refunded(quiet.0, quiet.1);
    let ends: Vec<Event> =
        [before, quiet, late, reversed].iter().map(|(customer, order)| world.cancelled(*customer, *order)).collect();
    world.send_and_wait(&[vec![repeat], ends].concat(), 10).await;

    let texts: [Vec<String>; 4] = [
        world.texts(before.0).await,
        world.texts(quiet.0).await,
        world.texts(late.0).await,
        world.texts(reversed.0).await,
    ];
    assert_eq!(texts[0], [CHARGED, REFUNDED, CANCELLED], "a notice for each step before the rollout began");
    assert_eq!(texts[1], [CANCELLED], "one notice");
    assert_eq!(texts[2], [CHARGED, REFUNDED, CANCELLED], "the rollout came back too late for it");
    assert_eq!(texts[3], [REFUNDED, CHARGED, CANCELLED], "whatever step comes first decides");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_the_customers_gets_one_notice_and_replicas_agree() {
    let world = World::start_with(|settings| settings.feed.max_batch = 20).await;
    world.roll_out(50);
    let replica = ServiceHarness::start::<Notification>(world.settings.clone()).await;
    let customers: Vec<Uuid> = (0..40).map(|_| world.ids.next()).collect();
    let mut events = Vec::new();
    for customer in &customers {
        for _ in 0..3 {
            let order = world.ids.next();
            events.extend([world.charged(*customer, order), world.refunded(*customer, order)]);
            events.push(world.cancelled(*customer, order));
        }
    }
    world.send(&events).await;
    events.reverse();
    world.send(&events).await;
    world.send_and_wait(&events, counted(&world, &customers).await).await;
    let sql = "SELECT customer_id, count(*) FROM deliveries GROUP BY customer_id";
    let rows = world.database.query(sql, &[]).await;
    let counts: HashMap<Uuid, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let once = customers.iter().filter(|customer| counts[customer] == 3).count();
    assert!(counts.values().all(|count| [3, 9].contains(count)), "{counts:?}");
    assert!((6..=34).contains(&once), "{once} of 40 get one notice");
    replica.stop().await;
    world.finish().await;
}

/// How many deliveries there are to be: three for each customer with single notices, else nine.
async fn counted(world: &World, customers: &[Uuid]) -> i64 {
    use flotilla_flags::{Context, Flags};
    let definitions = &world.settings.flags.definitions;
    let flags = Flags::builder().configuration(definitions).build(&flotilla_telemetry::Registry::new()).await.unwrap();
    let mut all = 0;
    for customer in customers {
        all += if flags.boolean("single-notice", &Context::user(customer), false).await { 3 } else { 9 };
    }
    all
}
