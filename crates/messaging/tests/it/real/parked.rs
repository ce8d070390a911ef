//! Parked messages in PostgreSQL: each waits for its back-off.

use std::sync::Arc;
use std::time::Duration;

use flotilla_testkit::{Database, eventually, stack};

use super::{CONSUMER, Node, ORDERS, PAYMENTS, Recording, TIMEOUT, database, settings};
use crate::fixtures::{KIND, event};

/// The back-off after the first failed attempt. Longer than any test may take.
const BACKOFF: Duration = Duration::from_secs(1_200);

/// Waits for this many attempts at the only parked message, and returns the seconds until the next.
async fn wait_after(database: &Database, attempts: i32) -> f64 {
    let sql = "SELECT attempts, extract(epoch FROM next_attempt_at - clock_timestamp())::float8 FROM parked";
    let (made, wait) = eventually(&format!("{attempts} attempts"), TIMEOUT, || async {
        let rows = database.query(sql, &[]).await;
        rows.first().map(|row| (row.get::<_, i32>(0), row.get::<_, f64>(1))).filter(|(made, _)| *made >= attempts)
    })
    .await;
    assert_eq!(made, attempts, "it was tried again before its time");
    wait
}

#[tokio::test]
async fn a_parked_message_waits_longer_after_each_attempt() {
    let nats = stack().await.nats_url();
    let (orders_db, payments_db) = (database("orders").await, database("payments").await);
    let mut settings = settings(&nats);
    settings.parked.backoff = BACKOFF.into();
    let orders = Node::start(&orders_db, ORDERS, &settings, vec![]).await;
    let handler = Arc::new(Recording::default());
    let payments = Node::start(&payments_db, PAYMENTS, &settings, vec![(CONSUMER, handler)]).await;
    orders.commit(&[event(&orders.ids, KIND, "poison")]).await;

    // Twenty minutes, then twice as long, then the maximum of an hour; from the second on with a jitter of a quarter.
    // The margins below are larger than the test's own run time.
    for (attempts, at_least, at_most) in [(1, 1_000.0, 1_200.0), (2, 1_600.0, 3_000.0), (3, 2_500.0, 4_500.0)] {
        let wait = wait_after(&payments_db, attempts).await;
        assert!((at_least..=at_most).contains(&wait), "attempt {attempts} is followed by a wait of {wait} s");
        payments_db.query("UPDATE parked SET next_attempt_at = clock_timestamp()", &[]).await;
    }
    eventually("dead", TIMEOUT, || async {
        payments_db.value::<String>("SELECT state FROM parked", &[]).await == "dead"
    })
    .await;
    orders.stop().await;
    payments.stop().await;
}
