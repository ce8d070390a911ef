//! Orders against reservations and charges.

use anyhow::Result;
use uuid::Uuid;

use crate::{
    access::Databases,
    finding::Finding,
    merge::{Pair, merge},
};

/// Checks orders' own tables, then orders against inventory and payments.
pub async fn check(databases: &Databases) -> Result<Vec<Finding>> {
    Ok(vec![terminal(databases).await?, charged_once(databases).await?, stock_follows(databases).await?])
}

async fn terminal(databases: &Databases) -> Result<Finding> {
    let wrong = databases
        .wrong(
            "orders",
            "SELECT format('order %s is %s', id, state) FROM orders
             WHERE ended_at IS NULL OR state::text NOT IN ('confirmed', 'rejected', 'cancelled') ORDER BY id LIMIT 100",
        )
        .await?;
    let all = databases.number("orders", "SELECT count(*) FROM orders").await?;
    Ok(Finding::of("every accepted order has reached exactly one end", format!("{all} orders"), &wrong))
}

/// Confirmed: charged once, for the total. Rejected and cancelled: nothing is charged in the end.
async fn charged_once(databases: &Databases) -> Result<Finding> {
    let orders = databases
        .stream("orders", "SELECT id, state::text, total_minor FROM orders WHERE ended_at IS NOT NULL ORDER BY id")
        .await?;
    let money = databases
        .stream(
            "payments",
            // What moved on the customers' accounts, whatever the charges say.
            "SELECT order_id, count(*) FILTER (WHERE kind = 'charge'), sum(-amount_minor)::bigint
             FROM statement_lines WHERE account LIKE 'customer:%' AND order_id IS NOT NULL
             GROUP BY order_id ORDER BY order_id",
        )
        .await?;
    let judge = |id: Uuid, pair: Pair<'_>| match pair {
        Pair::Left(order) => {
            (order.get::<_, String>(1) == "confirmed").then(|| format!("order {id} is confirmed, but not charged"))
        }
        // An order that hasn't ended violates the first invariant.
        Pair::Right => None,
        Pair::Both(order, money) => {
            let state: String = order.get(1);
            let (total, charges, net): (i64, i64, i64) = (order.get(2), money.get(1), money.get(2));
            let wanted = if state == "confirmed" { total } else { 0 };
            (net != wanted || charges > 1)
                .then(|| format!("order {id} ({state}, total {total}) has {charges} charges, net {net}"))
        }
    };
    let (count, wrong) = merge(orders, money, judge).await?;
    Ok(Finding::of(
        "confirmed orders were charged once for their total, all others net to zero",
        format!("{count} orders"),
        &wrong,
    ))
}

/// Confirmed: the stock is shipped. Rejected and cancelled: nothing is held or shipped.
async fn stock_follows(databases: &Databases) -> Result<Finding> {
    let orders =
        databases.stream("orders", "SELECT id, state::text FROM orders WHERE ended_at IS NOT NULL ORDER BY id").await?;
    let stock =
        databases.stream("inventory", "SELECT order_id, state::text FROM reservations ORDER BY order_id").await?;
    let judge = |id: Uuid, pair: Pair<'_>| match pair {
        Pair::Left(order) => (order.get::<_, String>(1) == "confirmed")
            .then(|| format!("order {id} is confirmed, but nothing was reserved")),
        Pair::Right => None,
        Pair::Both(order, reservation) => {
            let (state, stock): (String, String) = (order.get(1), reservation.get(1));
            let fits =
                if state == "confirmed" { stock == "committed" } else { stock != "committed" && stock != "held" };
            (!fits).then(|| format!("order {id} is {state}, its stock {stock}"))
        }
    };
    let (count, wrong) = merge(orders, stock, judge).await?;
    Ok(Finding::of("confirmed orders are shipped, all others hold nothing", format!("{count} orders"), &wrong))
}
