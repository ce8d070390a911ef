//! Tests of reading the files.

use super::*;

struct Files(tempfile::TempDir);

const PRODUCTS: &str = "a,A,1.50,USD,3\nb,B,2,USD,4\n";
const CUSTOMERS: &str = "X,Ex,Chile\nZ,Zet,Peru\n";

impl Files {
    fn new(products: &str, customers: &str, orders: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, head: &str, rows: &[u8]| {
            std::fs::write(dir.path().join(name), [head.as_bytes(), b"\n", rows].concat()).unwrap();
        };
        write("p.csv", "product,name,unit_price,currency,stock", products.as_bytes());
        write("c.csv", "customer,name,country", customers.as_bytes());
        write("o.csv", "order,placed_at,customer,product,quantity", orders.as_ref());
        Self(dir)
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::read(&self.0.path().join("p.csv"), &self.0.path().join("c.csv")).unwrap()
    }

    /// The good orders and the bad rows, without the folder's name.
    fn orders(&self, limit: Option<u64>) -> (Vec<PastOrder>, Vec<String>) {
        let (catalogue, mut bad) = (self.catalogue(), Vec::new());
        let report = |row: &str| bad.push(row.rsplit_once('/').unwrap().1.to_owned());
        let file = OrderFile::inspect(&self.0.path().join("o.csv"), &catalogue, report).unwrap();
        let good = file.good_orders(limit).unwrap().map(|order| order.unwrap()).collect();
        (good, bad)
    }
}

fn orders_of(rows: &str) -> (Vec<PastOrder>, Vec<String>) {
    Files::new(PRODUCTS, CUSTOMERS, rows).orders(None)
}

#[test]
fn rows_of_one_order_become_one_order() {
    let (good, bad) = orders_of("1,2020-01-01,X,a,1\n1,2020-01-01,X,b,2\n2,2020-01-02T08:00:00Z,X,a,1\n");
    let sizes: Vec<_> = good.iter().map(|order| (order.lines.len(), order.minor)).collect();
    assert_eq!((sizes, bad.len()), (vec![(2, 550), (1, 150)], 0));
}

#[test]
fn the_rows_of_one_product_are_added_up() {
    let (good, _) = orders_of("1,2020-01-01,X,a,1\n1,2020-01-01,X,a,2\n");
    assert_eq!(good[0].lines, BTreeMap::from([("a".to_owned(), 3)]));
}

#[test]
fn a_bad_row_invalidates_its_whole_order_and_no_other() {
    let (good, bad) = orders_of("1,2020-01-01,X,a,1\n1,2020-01-01,X,b,-2\n2,2020-01-02,X,a,1\n");
    assert_eq!(bad, ["o.csv:3: invalid quantity \"-2\"; use a whole number above 0"]);
    assert_eq!(good.iter().map(|order| order.id.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn an_order_whose_rows_are_not_consecutive_is_not_placed() {
    let (good, bad) = orders_of("1,2020-01-01,X,a,1\n2,2020-01-01,X,a,1\n1,2020-01-01,X,b,1\n");
    assert_eq!(bad, ["o.csv:4: the rows of order \"1\" are not consecutive"]);
    assert_eq!(good.iter().map(|order| order.id.as_str()).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn every_kind_of_bad_row_has_its_line_and_its_reason() {
    let long = "k".repeat(41);
    for (rows, line, reason) in [
        ("1,yesterday,X,a,1", 2, "invalid date or time"),
        ("1,2020-01-01,Y,a,1", 2, "unknown customer \"Y\""),
        ("1,2020-01-01,X,z,1", 2, "unknown product \"z\""),
        ("1,2020-01-01,X,a,0", 2, "use a whole number above 0"),
        ("1,2020-01-01,X,a,1.5", 2, "use a whole number above 0"),
        ("1,2020-01-01,X,a,1000001", 2, "at most 1000000 units"),
        ("1,2020-01-01,X,a,999999\n1,2020-01-01,X,a,2", 3, "at most 1000000 units"),
        ("1,2020-01-01,X,a", 2, "the row has 4 fields, not 5"),
        ("1,2020-01-01,X,a,1,1", 2, "the row has 6 fields, not 5"),
        (",2020-01-01,X,a,1", 2, "the order has no key"),
        (&format!("{long},2020-01-01,X,a,1"), 2, "invalid key"),
        ("1,2020-01-01,X,a,1\n1,2020-01-01,Z,b,1", 3, "order \"1\" has two customers"),
        ("1,2020-01-01,X,a,1\n1,2020-01-02,X,b,1", 3, "order \"1\" has two times"),
    ] {
        let (good, bad) = orders_of(&format!("{rows}\n"));
        assert_eq!((good.len(), bad.len()), (0, 1), "{rows}: {bad:?}");
        assert!(bad[0].starts_with(&format!("o.csv:{line}: ")) && bad[0].contains(reason), "{rows}: {bad:?}");
    }
    let (good, bad) = orders_of("1,2020-01-02,X,a,1\n2,2020-01-01,X,a,1\n");
    assert!(good.len() == 1 && bad[0].starts_with("o.csv:3: the order is earlier than the previous one"), "{bad:?}");
}

#[test]
fn a_row_that_is_not_utf_8_is_a_bad_row() {
    let (good, bad) = Files::new(PRODUCTS, CUSTOMERS, b"1,2020-01-01,X\xff,a,1\n2,2020-01-01,X,a,1\n").orders(None);
    assert_eq!((good.len(), bad), (1, vec!["o.csv:2: the row is not UTF-8".to_owned()]));
}

#[test]
fn a_limit_counts_valid_orders() {
    let files = Files::new(PRODUCTS, CUSTOMERS, "1,2020-01-01,X,a,0\n2,2020-01-01,X,a,1\n3,2020-01-01,X,a,1\n");
    assert_eq!(files.orders(Some(1)).0[0].id, "2");
}

#[test]
fn an_order_above_the_maximum_of_an_account_is_bad() {
    let (good, bad) =
        Files::new("a,A,90000000000000.00,USD,3\n", CUSTOMERS, "1,2020-01-01,X,a,1\n2,2020-01-01,X,a,900000\n")
            .orders(None);
    assert_eq!((good.len(), bad.len()), (0, 2), "{bad:?}");
}

#[test]
fn a_catalogues_bad_rows_have_their_line_and_their_reason() {
    let products = "a,A,1.50,USD,3\nA,Other,1,USD,1\na,Again,1,USD,1\nb,,1,USD,1\nc,C,1.001,USD,1\nd,D,1,XYZ,1\n\
                    e,E,1,EUR,1\nf,F,1,USD,-1\ng,G,1\n,H,1,USD,1\n";
    let files = Files::new(products, "X y,Ex,Chile\nx-y,Why,Peru\nX y,Again,Peru\n", "");
    let catalogue = files.catalogue();
    let bad: Vec<_> = catalogue.bad_rows.iter().map(|row| row.rsplit_once('/').unwrap().1).collect();
    assert_eq!(
        bad,
        [
            "p.csv:3: product \"A\" would get the same id as another one: a",
            "p.csv:4: duplicate product \"a\"",
            "p.csv:5: the name is empty",
            "p.csv:6: invalid amount \"1.001\" in USD; use the form 18.00",
            "p.csv:7: unknown currency \"XYZ\"",
            "p.csv:8: EUR differs from USD: a replay has one currency",
            "p.csv:9: invalid stock \"-1\"; use a whole number of at least 0",
            "p.csv:10: the row has 3 fields, not 5",
            "p.csv:11: the product has no key",
            "c.csv:3: customer \"x-y\" would get the same address as another one: x-y",
            "c.csv:4: duplicate customer \"X y\"",
        ]
    );
    assert_eq!(catalogue.products["a"].name, "A", "the first of two is kept");
}

#[test]
fn other_columns_are_refused() {
    let files = Files::new(PRODUCTS, CUSTOMERS, "");
    let wrong = files.0.path().join("c.csv");
    let error = OrderFile::inspect(&wrong, &files.catalogue(), |_| ()).err().unwrap().to_string();
    assert!(
        error.ends_with("expected the columns order,placed_at,customer,product,quantity, found customer,name,country"),
        "{error}"
    );
}

#[test]
fn amounts_are_exact() {
    use super::super::rows::parse_amount;
    let dollar = flotilla_money::Currency::parse("USD").unwrap();
    assert_eq!(parse_amount("18.5", dollar).unwrap().minor, 1850);
    assert_eq!(parse_amount("7", dollar).unwrap().minor, 700);
    for wrong in ["", "1.234", "-1", "1,5", "x"] {
        assert!(parse_amount(wrong, dollar).is_err(), "{wrong}");
    }
}
