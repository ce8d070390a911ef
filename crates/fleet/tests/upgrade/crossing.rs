//! Which build handled each payment, read from what was written: orders said `ChargePayment`, payments answered
//! `PaymentCharged`, notification recorded it; each one by N or by N+1.
//!
//! N+1's orders adds a `reference`, its payments a `statement`, its notification keeps the statement. The fields are
//! read by their numbers: this test knows neither build's contract.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

use flotilla_checker::Databases;
use flotilla_messaging::{Event, frame};
use prost::Message;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(500);

/// `ChargePayment` and `PaymentCharged`, as far as both builds agree and the fixture adds.
#[derive(Clone, PartialEq, Message)]
struct Payment {
    #[prost(string, tag = "1")]
    order_id: String,
    #[prost(string, tag = "100")]
    added: String,
}

/// Whether orders, payments and notification were N+1, and how many payments went that way.
pub type Ways = BTreeMap<(bool, bool, bool), usize>;

/// Waits until payments have gone all eight ways since then. The broker gives messages to the two builds in turn, and orders
/// at a steady pace may then go only some ways for as long as one likes; so each time that one is missing, `stir` is
/// called, which sends a message that only notification reads.
pub async fn until_all(databases: &Databases, since: SystemTime, stir: impl AsyncFn()) -> Ways {
    let until = Instant::now() + PATIENCE;
    loop {
        let ways = ways(databases, since).await;
        if ways.len() == 8 {
            return ways;
        }
        assert!(Instant::now() < until, "only some ways were gone: {ways:?}");
        stir().await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The ways of all payments since then that have been recorded.
pub async fn ways(databases: &Databases, since: SystemTime) -> Ways {
    let said = events(databases, "orders", "flotilla.payments.v1.ChargePayment", since).await;
    // A command that isn't answered in time is sent once more, maybe by the other build: then nobody knows which was heard.
    let mut references = BTreeMap::<_, BTreeSet<_>>::new();
    for (_, payment) in said {
        references.entry(payment.order_id).or_default().insert(payment.added);
    }
    let recorded = recorded(databases, since).await;
    let mut ways = Ways::new();
    for (id, charged) in events(databases, "payments", "flotilla.payments.v1.PaymentCharged", since).await {
        let (Some(references), Some(kept)) = (references.get(&charged.order_id), recorded.get(&id)) else { continue };
        let (Some(reference), 1) = (references.first(), references.len()) else { continue };
        let way = (!reference.is_empty(), !charged.added.is_empty(), kept.is_some());
        let expected = match way {
            (true, true, _) => format!("FLOTILLA {reference}"),
            (false, true, _) => "FLOTILLA".to_owned(),
            (_, false, _) => String::new(),
        };
        assert_eq!(charged.added, expected, "payments passes on what it was told, and nothing else: {way:?}");
        assert!(kept.as_ref().is_none_or(|kept| *kept == expected), "notification keeps what it was told: {kept:?}");
        *ways.entry(way).or_default() += 1;
    }
    ways
}

/// The sequence of a customer's newest delivery.
pub async fn newest(databases: &Databases, customer: &str) -> i64 {
    let sql = "SELECT max(sequence) FROM deliveries WHERE customer_id = $1";
    let customer: Uuid = customer.parse().unwrap();
    databases.of("notification").unwrap().query_one(sql, &[&customer]).await.unwrap().get(0)
}

/// The messages of a kind in a service's outbox.
async fn events(databases: &Databases, service: &str, kind: &str, since: SystemTime) -> Vec<(Uuid, Payment)> {
    let sql = "SELECT subject, event FROM outbox WHERE created_at >= $1";
    let rows = databases.of(service).unwrap().query(sql, &[&since]).await.unwrap();
    let decode = |row: &tokio_postgres::Row| -> Vec<(Uuid, Payment)> {
        let events = frame::decode(row.get(0), &row.get::<_, Vec<u8>>(1).into()).unwrap();
        let events = events.into_iter().map(|event| event.unwrap());
        let of_kind = events.filter(|event: &Event| event.kind == kind);
        of_kind.map(|event| (event.id, event.decode().unwrap())).collect()
    };
    rows.iter().flat_map(decode).collect()
}

/// What notification kept of each payment: nothing by N, which doesn't know the column.
async fn recorded(databases: &Databases, since: SystemTime) -> BTreeMap<Uuid, Option<String>> {
    let sql = "SELECT event_id, statement FROM deliveries WHERE kind = 'payment_charged' AND created_at >= $1";
    let rows = databases.of("notification").unwrap().query(sql, &[&since]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// The columns of notification's table.
pub async fn columns(databases: &Databases) -> BTreeSet<String> {
    let sql = "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'deliveries'";
    databases.rows("notification", sql).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The text of each delivery, read from a column.
pub async fn texts(databases: &Databases, column: &str) -> BTreeMap<Uuid, String> {
    let rows = databases.rows("notification", &format!("SELECT id, {column} FROM deliveries")).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Fails where a text of before reads otherwise now, or is gone.
pub async fn assert_kept(databases: &Databases, before: &BTreeMap<Uuid, String>) {
    let now = texts(databases, "text").await;
    let changed: Vec<_> = before.iter().filter(|(id, text)| now.get(id) != Some(text)).take(5).collect();
    assert!(changed.is_empty(), "of {} texts these have changed: {changed:?}", before.len());
}
