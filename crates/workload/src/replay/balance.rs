//! What became of the orders, beside the files' own sums; and the stock that this leaves.

use std::{collections::HashMap, time::SystemTime};

use anyhow::{Context as _, Result};
use flotilla_checker::Databases;
use flotilla_money::Amount;
use flotilla_terminal::{bad, good};

use super::{catalogue::Catalogue, orders::Sums, shop::Shop};
use crate::outcome;

/// Prints the comparison; false when something doesn't add up.
///
/// # Errors
/// When a database doesn't answer.
pub async fn compare(
    databases: &Databases,
    since: SystemTime,
    catalogue: &Catalogue,
    shop: &Shop,
    files: &Sums,
) -> Result<bool> {
    let outcomes = outcome::since(databases, since).await?;
    outcomes.print();
    let sum = |column: fn(&outcome::Group) -> i64| -> i64 { outcomes.groups.iter().map(column).sum() };
    let fleet =
        [sum(|group| group.orders), sum(|group| group.lines), sum(|group| group.units), sum(|group| group.money.minor)];
    let wanted = [files.orders, files.lines, files.units, files.minor];
    let same = fleet == wanted;
    let currency = catalogue.currency().context("the dollar is known")?;
    let money = |minor| Amount { minor, currency };
    let mark = if same { good("same") } else { bad("DIFFERENT") };
    println!(
        "files: {} orders, {} lines, {} units, {}; fleet: {} orders, {} lines, {} units, {}: {mark}",
        wanted[0],
        wanted[1],
        wanted[2],
        money(wanted[3]),
        fleet[0],
        fleet[1],
        fleet[2],
        money(fleet[3]),
    );
    let (units_left, wrong) = stock_left(databases, since, catalogue, shop).await?;
    let mark = if wrong.is_empty() { good("as the outcomes imply") } else { bad("WRONG") };
    println!("stock left: {units_left} units of {} products: {mark}", catalogue.products.len());
    for line in wrong.iter().take(10) {
        println!("  {line}");
    }
    Ok(same && wrong.is_empty())
}

/// Units left of the run's products, and those products of which it isn't stock less confirmed units.
async fn stock_left(
    databases: &Databases,
    since: SystemTime,
    catalogue: &Catalogue,
    shop: &Shop,
) -> Result<(i64, Vec<String>)> {
    let shipped: HashMap<String, i64> = databases
        .of("orders")?
        .query(
            "SELECT product_id, sum(quantity)::bigint FROM order_lines JOIN orders ON orders.id = order_id
             WHERE orders.id >= messaging_least_id($1::timestamptz - interval '1 minute') AND created_at >= $1
                 AND state::text = 'confirmed' GROUP BY product_id",
            &[&since],
        )
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    let ids: Vec<String> = catalogue.products.keys().map(|key| shop.product_id(key)).collect();
    let on_hand: HashMap<String, i64> = databases
        .of("inventory")?
        .query("SELECT product_id, on_hand FROM stock WHERE product_id = ANY($1)", &[&ids])
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    let mut wrong = Vec::new();
    for ((key, product), id) in catalogue.products.iter().zip(&ids) {
        let implied = product.stock - shipped.get(id).copied().unwrap_or_default();
        let left = on_hand.get(id).copied().unwrap_or_default();
        if left != implied {
            wrong.push(format!("product {key}: {left} on hand, {implied} implied"));
        }
    }
    Ok((on_hand.values().sum(), wrong))
}
