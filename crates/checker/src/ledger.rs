//! The ledger.

use anyhow::Result;

use crate::{access::Databases, finding::Finding};

/// Checks payments' tables.
pub async fn check(databases: &Databases) -> Result<Vec<Finding>> {
    let transfers = databases.number("payments", "SELECT count(*) FROM transfers").await?;
    let unbalanced = databases
        .wrong(
            "payments",
            "SELECT format('transfer %s sums to %s, with %s records', coalesce(transfers.id, transfer_id),
                           coalesce(sum(postings.amount_minor), 0), count(DISTINCT transfers.id))
             FROM transfers FULL JOIN postings ON transfer_id = transfers.id
             GROUP BY coalesce(transfers.id, transfer_id)
             HAVING coalesce(sum(postings.amount_minor), 1) <> 0 OR count(postings.transfer_id) < 2
                OR min(postings.currency) <> max(postings.currency) OR count(transfers.id) = 0 LIMIT 100",
        )
        .await?;
    let accounts = databases.number("payments", "SELECT count(*) FROM accounts").await?;
    let balances = databases
        .wrong(
            "payments",
            "WITH sums AS (SELECT customer_id, sum(amount_minor) AS minor FROM postings
                           WHERE customer_id IS NOT NULL GROUP BY customer_id)
             SELECT format('account %s: balance %s, postings %s', customer_id, balance_minor, coalesce(minor, 0))
             FROM accounts LEFT JOIN sums USING (customer_id)
             WHERE balance_minor < 0 OR balance_minor <> coalesce(minor, 0) LIMIT 100",
        )
        .await?;
    Ok(vec![
        Finding::of(
            "every transfer has a record, and its postings sum to zero",
            format!("{transfers} transfers"),
            &unbalanced,
        ),
        Finding::of(
            "no balance is below zero, each is the sum of its postings",
            format!("{accounts} accounts"),
            &balances,
        ),
    ])
}
