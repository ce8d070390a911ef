//! The path of one order through the services, assembled from the saga's journal and the other services' tables.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use flotilla_money::{Amount, Currency};
use flotilla_terminal::Table;
use uuid::Uuid;

use crate::access::Databases;

/// One thing that happened to an order.
struct Moment {
    at: SystemTime,
    service: &'static str,
    step: String,
    message_id: Option<Uuid>,
    attempt: Option<i32>,
    trace_id: Option<String>,
    amount: Option<Amount>,
}

/// Each service's records of an order: time, step, message id, attempt, trace id, minor units and their currency.
const SOURCES: &[(&str, &str)] = &[
    (
        "orders",
        "SELECT at, direction || ' ' || kind || ' (' || step || ')', message_id, attempt, trace_id, NULL::bigint, NULL::text
         FROM saga_journal WHERE order_id = $1",
    ),
    (
        "inventory",
        "SELECT created_at, 'reservation made, now ' || state::text, NULL::uuid, NULL::int, NULL::text,
                NULL::bigint, NULL::text
         FROM reservations WHERE order_id = $1",
    ),
    (
        "payments",
        "SELECT created_at, kind::text, id, NULL::int, NULL::text, amount_minor, currency
         FROM transfers WHERE order_id = $1",
    ),
    (
        "notification",
        "SELECT created_at, 'delivery ' || kind::text, event_id, NULL::int, NULL::text, NULL::bigint, NULL::text
         FROM deliveries WHERE order_id = $1",
    ),
];

/// The order since `since` with the most steps, which is the most instructive one.
///
/// # Errors
/// If the database doesn't respond.
pub async fn richest(databases: &Databases, since: SystemTime) -> Result<Option<Uuid>> {
    let row = databases
        .of("orders")?
        .query_opt(
            // Ids carry their time; the bound spares the journals of older orders.
            "SELECT o.id FROM orders AS o
             CROSS JOIN LATERAL (SELECT count(*) AS entries FROM saga_journal WHERE order_id = o.id) AS journal
             WHERE o.id >= messaging_least_id($1::timestamptz - interval '1 minute') AND o.created_at >= $1
             ORDER BY (o.state::text = 'confirmed') DESC, journal.entries DESC, o.id LIMIT 1",
            &[&since],
        )
        .await?;
    row.map(|row| row.try_get(0).map_err(anyhow::Error::from)).transpose()
}

/// One order's timeline as a table.
///
/// # Errors
/// If there is no such order.
pub async fn render(databases: &Databases, order: Uuid) -> Result<String> {
    let mut moments = Vec::new();
    for (service, sql) in SOURCES {
        for row in databases.of(service)?.query(*sql, &[&order]).await? {
            moments.push(Moment {
                at: row.try_get(0)?,
                service,
                step: row.try_get(1)?,
                message_id: row.try_get(2)?,
                attempt: row.try_get(3)?,
                trace_id: row.try_get(4)?,
                amount: amount(row.try_get(5)?, row.try_get(6)?),
            });
        }
    }
    moments.sort_by_key(|moment| moment.at);
    let start = moments.first().with_context(|| format!("there is no order {order}"))?.at;
    let mut table = Table::new(&[">ms", "service", "step", "message", ">attempt", "trace"]);
    for moment in moments {
        let since_start = moment.at.duration_since(start).unwrap_or_default();
        table.row([
            format!("{:.1}", since_start.as_secs_f64() * 1000.0),
            moment.service.to_owned(),
            moment.amount.map_or_else(|| moment.step.clone(), |amount| format!("{} {amount}", moment.step)),
            moment.message_id.map(|id| id.to_string()).unwrap_or_default(),
            moment.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
            moment.trace_id.unwrap_or_default(),
        ]);
    }
    Ok(table.render())
}

fn amount(minor: Option<i64>, currency: Option<&str>) -> Option<Amount> {
    Some(Amount { minor: minor?, currency: Currency::parse(currency?)? })
}
