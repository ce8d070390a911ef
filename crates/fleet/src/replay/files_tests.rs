//! Tests of reading the files.

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new(orders: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("p.csv"),
            "product,name,unit_price,currency,stock\na,A,1.50,USD,3\nb,B,2,USD,4\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("c.csv"), "customer,name,country\nX,Ex,Chile\n").unwrap();
        std::fs::write(dir.path().join("o.csv"), format!("order,placed_at,customer,product,quantity\n{orders}"))
            .unwrap();
        Self(dir)
    }

    fn orders(&self) -> Vec<Result<PastOrder, Vec<String>>> {
        let catalogue = Catalogue::read(&self.0.path().join("p.csv"), &self.0.path().join("c.csv")).unwrap();
        OrderFile::open(&self.0.path().join("o.csv"), &catalogue, None).unwrap().map(|order| order.unwrap()).collect()
    }
}

#[test]
fn rows_of_one_order_become_one_order() {
    let orders = Files::new("1,2020-01-01,X,a,1\n1,2020-01-01,X,b,2\n2,2020-01-02,X,a,1\n").orders();
    let lines: Vec<_> = orders.iter().map(|order| order.as_ref().unwrap().lines.len()).collect();
    assert_eq!(lines, [2, 1]);
}

#[test]
fn a_bad_row_spoils_its_whole_order_and_no_other() {
    let orders = Files::new("1,2020-01-01,X,a,1\n1,2020-01-01,X,b,-2\n2,2020-01-02,X,a,1\n").orders();
    let rows = orders[0].as_ref().unwrap_err();
    assert!(rows[0].ends_with("o.csv:3: quantity \"-2\" is no number of units above 0"), "{rows:?}");
    assert!(orders[1].is_ok());
}

#[test]
fn every_kind_of_bad_row_has_its_reason() {
    for (row, reason) in [
        ("1,yesterday,X,a,1", "is no date or time"),
        ("1,2020-01-01,Y,a,1", "customer \"Y\" is not known"),
        ("1,2020-01-01,X,z,1", "product \"z\" is not known"),
        ("1,2020-01-01,X,a,0", "is no number of units above 0"),
        ("1,2020-01-01,X,a,1.5", "is no number of units above 0"),
    ] {
        let orders = Files::new(&format!("{row}\n")).orders();
        let rows = orders[0].as_ref().unwrap_err();
        assert!(rows[0].contains(reason), "{rows:?}");
    }
}

#[test]
fn amounts_are_exact() {
    let dollar = Currency::parse("USD").unwrap();
    assert_eq!(parse_amount("18.5", dollar).unwrap().minor, 1850);
    assert_eq!(parse_amount("7", dollar).unwrap().minor, 700);
    for wrong in ["", "1.234", "-1", "1,5", "x"] {
        assert!(parse_amount(wrong, dollar).is_err(), "{wrong}");
    }
}
