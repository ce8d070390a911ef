//! Stock against adjustments, holds and shipments.

use anyhow::Result;

use crate::{access::Databases, finding::Finding};

/// Checks inventory's tables.
pub async fn check(databases: &Databases) -> Result<Vec<Finding>> {
    let products = format!("{} products", databases.number("inventory", "SELECT count(*) FROM stock").await?);
    let balance = databases
        .wrong(
            "inventory",
            "WITH added AS (SELECT product_id, sum(delta) AS units FROM stock_adjustments GROUP BY product_id),
                  shipped AS (SELECT product_id, sum(quantity) AS units FROM reservation_lines
                              JOIN reservations USING (order_id) WHERE state::text = 'committed' GROUP BY product_id)
             SELECT format('%s: added %s, on hand %s, shipped %s', stock.product_id, coalesce(added.units, 0),
                           on_hand, coalesce(shipped.units, 0))
             FROM stock LEFT JOIN added USING (product_id) LEFT JOIN shipped USING (product_id)
             WHERE coalesce(added.units, 0) <> on_hand + coalesce(shipped.units, 0)",
        )
        .await?;
    let held = databases
        .wrong(
            "inventory",
            "WITH held AS (SELECT product_id, sum(quantity) AS units FROM reservation_lines
                           JOIN reservations USING (order_id) WHERE state::text = 'held' GROUP BY product_id)
             SELECT format('%s: reserved %s, held %s', stock.product_id, reserved, coalesce(held.units, 0))
             FROM stock LEFT JOIN held USING (product_id) WHERE reserved <> coalesce(held.units, 0)",
        )
        .await?;
    let negative = databases
        .wrong(
            "inventory",
            "SELECT format('%s: on hand %s, reserved %s', product_id, on_hand, reserved) FROM stock
             WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand",
        )
        .await?;
    Ok(vec![
        Finding::of("stock added = on hand + shipped, for each product", &products, &balance),
        Finding::of("reserved = the sum of open holds, for each product", &products, &held),
        Finding::of("no stock is negative or oversold", &products, &negative),
    ])
}
