//! The checker finds what is wrong: each promise is broken by hand in a database, and mended.

use flotilla_checker as checker;
use flotilla_proto::orders::v1::OrderState;

use crate::fleet::{Fleet, fleet};

/// A promise, the database in which it is broken, and the statements that break and mend it.
struct Breach {
    promise: &'static str,
    service: &'static str,
    breaks: String,
    mends: String,
}

impl Breach {
    /// Adds to a number, and takes it away again.
    fn of_number(promise: &'static str, service: &'static str, table: &str, column: &str, rows: &str) -> Self {
        let add = |units: &str| format!("UPDATE {table} SET {column} = {column} {units} WHERE {rows}");
        Self { promise, service, breaks: add("+ 1"), mends: add("- 1") }
    }

    /// Sets a text, and the right one again.
    fn of_text(promise: &'static str, service: &'static str, change: [&str; 2], values: [&str; 2], rows: &str) -> Self {
        let [table, column] = change;
        let set =
            |from: &str, to: &str| format!("UPDATE {table} SET {column} = '{to}' WHERE {column} = '{from}' AND {rows}");
        let [right, wrong] = values;
        Self { promise, service, breaks: set(right, wrong), mends: set(wrong, right) }
    }
}

fn breaches(customer: &str, product: &str, order: &str) -> Vec<Breach> {
    let (of_product, of_order) = (format!("product_id = '{product}'"), format!("order_id = '{order}'"));
    let of_customer = format!("customer_id = '{customer}'");
    let of_delivery = format!("{of_customer} AND kind = 'welcome'");
    vec![
        Breach::of_number("stock added = on hand + shipped", "inventory", "stock", "on_hand", &of_product),
        Breach::of_number("reserved = the sum of open holds", "inventory", "stock", "reserved", &of_product),
        Breach::of_text(
            "confirmed orders are shipped",
            "inventory",
            ["reservations", "state"],
            ["committed", "released"],
            &of_order,
        ),
        Breach::of_number(
            "confirmed orders were charged once",
            "orders",
            "orders",
            "total_minor",
            &format!("id = '{order}'"),
        ),
        Breach::of_number("no balance is below zero", "payments", "accounts", "balance_minor", &of_customer),
        Breach::of_number(
            "every transfer has a record, and its postings sum to zero",
            "payments",
            "postings",
            "amount_minor",
            &of_customer,
        ),
        Breach::of_text(
            "every message was applied once",
            "payments",
            ["inbox", "consumer"],
            ["payments-orders", "nobody"],
            "message_id = (SELECT (array_agg(message_id ORDER BY message_id DESC))[1] FROM inbox)",
        ),
        Breach {
            promise: "every transfer has a record",
            service: "payments",
            breaks: format!("UPDATE charges SET charge_transfer_id = order_id WHERE {of_order}"),
            mends: format!(
                "UPDATE charges SET charge_transfer_id = (
                     SELECT transfer_id FROM postings WHERE {of_order} AND kind = 'charge' AND {of_customer})
                 WHERE {of_order}"
            ),
        },
        // Money moved twice, although there is one charge.
        Breach {
            promise: "confirmed orders were charged once",
            service: "payments",
            breaks: format!(
                "INSERT INTO postings (account, transfer_id, customer_id, amount_minor, currency, kind, order_id)
                 SELECT account, order_id, customer_id, amount_minor, currency, kind, order_id FROM postings
                 WHERE {of_order} AND kind = 'charge'"
            ),
            mends: format!("DELETE FROM postings WHERE {of_order} AND transfer_id = order_id"),
        },
        Breach {
            promise: "deliveries are unique",
            service: "notification",
            breaks: format!("UPDATE deliveries SET sequence = sequence + 1000 WHERE {of_delivery}"),
            mends: format!("UPDATE deliveries SET sequence = sequence - 1000 WHERE {of_delivery}"),
        },
    ]
}

async fn broken(fleet: &Fleet) -> Vec<&'static str> {
    let findings = checker::check(&fleet.state.stores().unwrap(), fleet.planted()).await.unwrap();
    findings.iter().filter(|finding| !finding.holds).map(|finding| finding.invariant).collect()
}

#[tokio::test]
async fn every_broken_promise_is_found() {
    let fleet = fleet().await;
    let (customer, product) = (fleet.customer(10_000).await, fleet.product(100, 50).await);
    let order = customer.place_order(vec![(product.clone(), 2)], "checked").await.unwrap();
    fleet.until_state(&customer, &order.name, OrderState::Confirmed).await;
    fleet.assert_sound().await;
    for breach in breaches(customer.user_id(), &product, order.name.trim_start_matches("orders/")) {
        let client = fleet.databases.of(breach.service).unwrap();
        assert!(client.execute(&breach.breaks, &[]).await.unwrap() > 0, "{}", breach.breaks);
        let found = broken(&fleet).await;
        assert!(client.execute(&breach.mends, &[]).await.unwrap() > 0, "{}", breach.mends);
        assert!(found.iter().any(|promise| promise.starts_with(breach.promise)), "{}: {found:?}", breach.promise);
    }
    assert_eq!(broken(&fleet).await, [""; 0]);
    let check = fleet.command(&["check", "--planted", &fleet.planted().to_string()]).await;
    assert!(check.success && !check.stdout.contains("BROKEN"), "{check:?}");
}
