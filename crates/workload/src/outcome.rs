//! What became of the orders of a run, read from orders' database.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use flotilla_checker::Databases;
use flotilla_money::{Amount, Currency};
use flotilla_terminal::Table;
use tokio::time::Instant;

/// The orders since $1. Ids carry the time at which the service made them, so that the index leads to these orders, however
/// many there are.
const SINCE: &str =
    "id >= messaging_least_id(greatest($1::timestamptz - interval '1 minute', 'epoch')) AND created_at >= $1";
/// How often the number of open orders is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// Orders of one state and reason.
#[derive(Clone, Debug)]
pub struct Group {
    /// State, such as `confirmed`.
    pub state: String,
    /// Reason; empty for confirmed ones.
    pub reason: String,
    /// Orders.
    pub orders: i64,
    /// Lines of these orders.
    pub lines: i64,
    /// Units of these lines.
    pub units: i64,
    /// Their totals together.
    pub money: Amount,
}

/// All orders of a run.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// By state and reason.
    pub groups: Vec<Group>,
    /// Orders that ended in a second, from the first accepted to the last ended.
    pub per_second: f64,
    /// From accepted to ended, in milliseconds: 50th, 90th, 99th percentile and the longest.
    pub latency_ms: [f64; 4],
}

impl Outcomes {
    /// Orders of a state.
    #[must_use]
    pub fn orders(&self, state: &str) -> i64 {
        self.groups.iter().filter(|group| group.state == state).map(|group| group.orders).sum()
    }

    /// All orders.
    #[must_use]
    pub fn all(&self) -> i64 {
        self.groups.iter().map(|group| group.orders).sum()
    }

    /// Prints outcomes, throughput and latencies.
    pub fn print(&self) {
        let mut table = Table::new(&["outcome", "reason", ">orders", ">lines", ">units", ">money"]);
        for group in &self.groups {
            table.row([
                group.state.clone(),
                group.reason.clone(),
                group.orders.to_string(),
                group.lines.to_string(),
                group.units.to_string(),
                group.money.to_string(),
            ]);
        }
        print!("{}", table.render());
        let [half, ninety, ninety_nine, longest] = self.latency_ms;
        println!(
            "{:.0} orders/s from the first accepted to the last ended; accepted to ended: \
             p50 {half:.1} ms, p90 {ninety:.1} ms, p99 {ninety_nine:.1} ms, longest {longest:.1} ms",
            self.per_second
        );
    }
}

/// The database's clock, to tell a run's orders from older ones.
///
/// # Errors
/// When the database doesn't answer.
pub async fn now(databases: &Databases) -> Result<SystemTime> {
    Ok(databases.of("orders")?.query_one("SELECT clock_timestamp()", &[]).await?.try_get(0)?)
}

/// Waits until every order since `since` has ended; `show` gets how many are open.
///
/// # Errors
/// When some are open after `patience`.
pub async fn until_ended(
    databases: &Databases,
    since: SystemTime,
    patience: Duration,
    mut show: impl FnMut(i64),
) -> Result<()> {
    let client = databases.of("orders")?;
    let deadline = Instant::now() + patience;
    loop {
        let row = client
            .query_one(&format!("SELECT count(*) FROM orders WHERE {SINCE} AND ended_at IS NULL"), &[&since])
            .await?;
        let open: i64 = row.try_get(0)?;
        show(open);
        if open == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("{open} orders haven't ended {} s after the last was placed", patience.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sums up the orders since `since`.
///
/// # Errors
/// When the database doesn't answer.
pub async fn since(databases: &Databases, since: SystemTime) -> Result<Outcomes> {
    let client = databases.of("orders")?;
    let groups = client
        .query(
            &format!(
                "WITH recent AS (SELECT * FROM orders WHERE {SINCE}),
                      sums AS (SELECT order_id, count(*) AS lines, sum(quantity) AS units FROM order_lines
                               WHERE order_id >= (SELECT id FROM recent ORDER BY id LIMIT 1) GROUP BY order_id)
                 SELECT state::text, coalesce(reason::text, ''), count(*), sum(lines)::bigint, sum(units)::bigint,
                        sum(total_minor)::bigint, currency
                 FROM recent JOIN sums ON order_id = id GROUP BY 1, 2, currency ORDER BY 3 DESC"
            ),
            &[&since],
        )
        .await?
        .iter()
        .map(|row| {
            let currency: &str = row.try_get(6)?;
            let currency =
                Currency::parse(currency).with_context(|| format!("orders in an unknown currency: {currency:?}"))?;
            Ok(Group {
                state: row.try_get(0)?,
                reason: row.try_get(1)?,
                orders: row.try_get(2)?,
                lines: row.try_get(3)?,
                units: row.try_get(4)?,
                money: Amount { minor: row.try_get(5)?, currency },
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let row = client
        .query_one(
            &format!(
                "SELECT coalesce(count(*) / nullif(extract(epoch FROM max(ended_at) - min(created_at)), 0), 0)::float8
                 FROM orders WHERE {SINCE} AND ended_at IS NOT NULL"
            ),
            &[&since],
        )
        .await?;
    let latency_ms = latencies(databases, since, &[0.5, 0.9, 0.99, 1.0]).await?.try_into().unwrap_or_default();
    Ok(Outcomes { groups, per_second: row.try_get(0)?, latency_ms })
}

/// Quantiles of the time from accepted to ended, in milliseconds, of the orders since `since` that have ended; empty if
/// none has.
///
/// # Errors
/// When the database doesn't answer.
pub async fn latencies(databases: &Databases, since: SystemTime, quantiles: &[f64]) -> Result<Vec<f64>> {
    let sql = format!(
        "SELECT coalesce(percentile_cont($2::float8[])
                    WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - created_at)::float8 * 1000), '{{}}')
         FROM orders WHERE {SINCE} AND ended_at IS NOT NULL"
    );
    Ok(databases.of("orders")?.query_one(&sql, &[&since, &quantiles]).await?.try_get(0)?)
}
