//! `fleet replay`, as people run it: the numbers of files come out to the cent, and bad rows place nothing.

use std::path::Path;

use crate::fleet::{Fleet, Outcome, fleet};

const PRODUCTS: &str = "product,name,unit_price,currency,stock";
const CUSTOMERS: &str = "customer,name,country";
const ORDERS: &str = "order,placed_at,customer,product,quantity";

/// Customers, products and orders whose stock is just what they ask for, and what they cost.
struct Past {
    products: String,
    customers: String,
    orders: String,
    sums: String,
}

impl Past {
    /// Orders of one to five lines, the same for the same number.
    fn of(orders: usize) -> Self {
        let price = |product: usize| 199 + 1_337 * product;
        let (mut stock, mut lines, mut units, mut minor) = ([0; 20], 0, 0, 0);
        let mut rows = String::new();
        for order in 0..orders {
            for line in 0..=order % 5 {
                let (product, quantity) = ((order * 7 + line * 3) % stock.len(), 1 + (order + line) % 40);
                let day = 1 + order * 28 / orders;
                rows.push_str(&format!("{order},1996-07-{day:02},C{},P {product},{quantity}\n", order % 9));
                stock[product] += quantity;
                (lines, units, minor) = (lines + 1, units + quantity, minor + price(product) * quantity);
            }
        }
        let cents = |minor: usize| format!("{}.{:02}", minor / 100, minor % 100);
        let product =
            |(key, units): (usize, &usize)| format!("P {key},Name of {key},{},USD,{units}\n", cents(price(key)));
        Self {
            products: stock.iter().enumerate().map(product).collect(),
            customers: (0..9).map(|key| format!("C{key},\"Customer, no. {key}\",Chile\n")).collect(),
            orders: rows,
            sums: format!("{orders} orders, {lines} lines, {units} units, {} USD", cents(minor)),
        }
    }

    async fn replay(&self, fleet: &Fleet, further: &[&str]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let write = |name: &str, head: &str, rows: &str| {
            std::fs::write(Path::new(&path(name)), format!("{head}\n{rows}")).unwrap();
        };
        write("p.csv", PRODUCTS, &self.products);
        write("c.csv", CUSTOMERS, &self.customers);
        write("o.csv", ORDERS, &self.orders);
        let (products, customers, orders) = (path("p.csv"), path("c.csv"), path("o.csv"));
        let planted = fleet.planted().to_string();
        let files = ["replay", "--products", &products, "--customers", &customers, "--orders", &orders];
        fleet.command(&[&files[..], &["--planted", &planted], further].concat()).await
    }
}

fn assert_whole(outcome: &Outcome, past: &Past) {
    assert!(outcome.success, "{outcome:?}");
    let same = format!("files: {0}; fleet: {0}: same", past.sums);
    assert!(outcome.stdout.contains(&same), "{outcome:?}");
    assert!(outcome.stdout.contains("stock left: 0 units of 20 products: as the outcomes imply"), "{outcome:?}");
    let ends: Vec<_> = ["confirmed", "rejected", "cancelled"]
        .into_iter()
        .filter(|state| outcome.stdout.lines().any(|line| line.starts_with(state)))
        .collect();
    assert_eq!(ends, ["confirmed"], "{outcome:?}");
    assert!(!outcome.stdout.contains("BROKEN"), "{outcome:?}");
}

#[tokio::test]
async fn past_orders_are_all_confirmed_to_the_cent_and_leave_no_stock() {
    let fleet = fleet().await;
    let past = Past::of(120);
    assert_whole(&past.replay(&fleet, &[]).await, &past);
    fleet.assert_sound().await;
}

#[tokio::test]
async fn past_orders_are_all_confirmed_while_services_are_killed() {
    let fleet = fleet().await;
    let past = Past::of(400);
    let outcome = past.replay(&fleet, &["--chaos", "--seed", "3"]).await;
    assert_whole(&outcome, &past);
    let killed = outcome.stdout.lines().find_map(|line| line.strip_prefix("killed: "));
    assert!(killed.is_some_and(|names| !names.is_empty()), "{outcome:?}");
    fleet.until_up().await;
    fleet.assert_sound().await;
}

#[tokio::test]
async fn bad_rows_are_reported_with_file_line_and_reason_and_their_orders_are_skipped() {
    let fleet = fleet().await;
    let past = Past {
        products: "a b,A,1.50,USD,10\na-b,B,2.00,USD,10\nc,C,2.00,USD,-1\n".to_owned(),
        customers: "X,Ex,Chile\n".to_owned(),
        orders: "1,2020-01-01,X,a b,2\n\
                 2,2020-01-01,X,a b,1\n2,2020-01-01,X,a b,none\n\
                 3,2020-01-01,X,a-b,1\n\
                 4,2020-01-01,X,c\n\
                 5,2020-01-01,Y,a b,1\n\
                 6,2020-01-01,X,a b,1\n7,2020-01-02,X,a b,3\n6,2020-01-02,X,a b,1\n"
            .to_owned(),
        sums: "2 orders, 2 lines, 5 units, 7.50 USD".to_owned(),
    };
    let before = fleet.number("orders", "SELECT count(*) FROM orders").await;
    let outcome = past.replay(&fleet, &[]).await;
    assert!(outcome.success, "{outcome:?}");
    for bad in [
        "p.csv:3: product \"a-b\" would get the same id as another one: a-b",
        "p.csv:4: invalid stock \"-1\"; use a whole number of at least 0",
        "o.csv:4: invalid quantity \"none\"; use a whole number above 0",
        "o.csv:5: unknown product \"a-b\"",
        "o.csv:6: the row has 4 fields, not 5",
        "o.csv:7: unknown customer \"Y\"",
        "o.csv:10: the rows of order \"6\" are not consecutive",
    ] {
        assert!(outcome.stderr.contains(bad), "{bad} is missing: {outcome:?}");
    }
    assert!(outcome.stderr.contains("5 orders have bad rows and are skipped"), "{outcome:?}");
    assert!(outcome.stdout.contains(&format!("fleet: {}: same", past.sums)), "{outcome:?}");
    assert_eq!(fleet.number("orders", "SELECT count(*) FROM orders").await, before + 2);
    fleet.assert_sound().await;
}

#[tokio::test]
async fn a_small_balance_and_a_limit_are_kept_to_and_the_sums_still_add_up() {
    let fleet = fleet().await;
    let past = Past {
        products: "a,A,10.00,USD,100\n".to_owned(),
        customers: "X,Ex,Chile\n".to_owned(),
        orders: (0..9).map(|order| format!("{order},2020-01-01T00:00:0{order}Z,X,a,1\n")).collect(),
        sums: "6 orders, 6 lines, 6 units, 60.00 USD".to_owned(),
    };
    let outcome = past.replay(&fleet, &["--limit", "6", "--balance", "40.00", "--speed", "20"]).await;
    assert!(outcome.success, "{outcome:?}");
    assert!(outcome.stdout.contains(&format!("fleet: {}: same", past.sums)), "{outcome:?}");
    assert!(outcome.stdout.contains("stock left: 96 units of 1 products: as the outcomes imply"), "{outcome:?}");
    let rejected = outcome.stdout.lines().find(|line| line.starts_with("rejected")).unwrap_or_default();
    assert_eq!(
        rejected.split_whitespace().collect::<Vec<_>>(),
        ["rejected", "insufficient_funds", "2", "2", "2", "20.00", "USD"]
    );
    fleet.assert_sound().await;
}
