//! A year of settled orders, written by SQL: what a shop has behind it when it is measured.

use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};
use flotilla_checker::Databases;
use flotilla_terminal::Progress;

use crate::outcome;

/// What is written, in parts.
const PARTS: &str = include_str!("../../../../bench/history.sql");
/// Customers who have placed the orders.
const CUSTOMERS: u64 = 10_000;
/// Orders of one transaction: a long one would hold all relays up.
const RANGE: u64 = 50_000;

/// A part: the database (or `all`), when it runs, and its statements.
struct Part<'a> {
    database: &'a str,
    when: &'a str,
    sql: &'a str,
}

/// Writes so many orders of so many products, which are called `history-0`, `history-1` and so on.
///
/// # Errors
/// When a statement fails, as it does if the fleet has such a history already.
pub(super) async fn write(databases: &Databases, orders: u64, products: usize) -> Result<()> {
    let mut progress = Progress::new();
    let (parts, products) = (parts(), products.max(2));
    let end_ms = outcome::now(databases).await?.duration_since(UNIX_EPOCH)?.as_millis();
    for database in databases.services() {
        let run = async |when: &str, first: u64, last: u64| {
            for part in parts.iter().filter(|part| part.when == when && [database, "all"].contains(&part.database)) {
                let sql = filled(part.sql, orders, products, end_ms, first, last);
                databases.of(database)?.batch_execute(&sql).await.with_context(|| format!("{database}: {when}"))?;
            }
            anyhow::Ok(())
        };
        run("begin", 0, 0).await?;
        for first in (1..=orders).step_by(usize::try_from(RANGE)?) {
            progress.show(&format!("{database}: {first} of {orders} orders"));
            run("orders", first, orders.min(first + RANGE - 1)).await?;
        }
        run("end", 0, 0).await?;
        progress.show(&format!("{database}: vacuum"));
        databases.of(database)?.batch_execute("VACUUM (ANALYZE)").await?;
    }
    databases.of("orders")?.batch_execute("CHECKPOINT").await?;
    progress.clear();
    println!("{orders} settled orders of {products} products: history-0 to history-{}", products - 1);
    Ok(())
}

fn parts() -> Vec<Part<'static>> {
    let parts = PARTS.split("\n--- ").skip(1);
    let split = parts.filter_map(|part| {
        let (head, sql) = part.split_once('\n')?;
        let (database, when) = head.split_once(' ')?;
        Some(Part { database, when, sql })
    });
    split.collect()
}

fn filled(sql: &str, orders: u64, products: usize, end_ms: u128, first: u64, last: u64) -> String {
    sql.replace(":orders", &orders.to_string())
        .replace(":products", &products.to_string())
        .replace(":customers", &CUSTOMERS.to_string())
        .replace(":end_ms", &end_ms.to_string())
        .replace(":first", &first.to_string())
        .replace(":last", &last.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_names_a_database_and_when_it_runs_and_no_place_is_left_open() {
        for Part { database, when, sql } in parts() {
            assert!(["all", "orders", "inventory", "payments", "notification"].contains(&database), "{database}");
            assert!(["begin", "orders", "end"].contains(&when), "{when}");
            let filled = filled(sql, 1, 1, 1, 1, 1).replace("::", "").replace("customer:", "").replace("house:", "");
            let open = filled.lines().find(|line| !line.starts_with("--") && line.contains(':'));
            assert_eq!(open, None, "{database} {when}");
        }
        assert_eq!(parts().len(), PARTS.matches("\n--- ").count());
    }
}
