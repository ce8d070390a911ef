use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::command::db::report::{Outbox, Server, Transaction};

const LIMITS: Limits = Limits { rows: 10, large: 10_000, long: Duration::from_secs(5) };

fn empty() -> Report {
    let server: Value = json!({"version": "18.6", "up_seconds": 7_325.4, "counted_since": "2026-12-01T18:43:02Z"});
    Report {
        server: serde_json::from_value::<Server>(server).unwrap(),
        statements: None,
        scanned_tables: Vec::new(),
        unused_indexes: Vec::new(),
        bloat: Vec::new(),
        transactions: Vec::new(),
        outboxes: Vec::new(),
        problems: Vec::new(),
    }
}

/// The text without colours, which it has if the test runs on a terminal.
fn rendered(report: &Report, address: &str) -> String {
    let text = render(report, address, LIMITS);
    ["\x1b[1m", "\x1b[31m", "\x1b[0m"].iter().fold(text, |text, code| text.replace(code, ""))
}

#[test]
fn a_part_without_rows_says_so_in_a_line() {
    let text = rendered(&empty(), "postgres://postgres@127.0.0.1:1/");
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "PostgreSQL 18.6 at postgres://postgres@127.0.0.1:1/, up 2h2m5s",
            "Statements by total time: not read",
            "Tables that may lack an index: no table of 10000 rows or more was often read in full",
            "Unused indexes: none",
            "Bloat: no table has much",
            "Long transactions: none is open for 5s or more",
            "Outbox lag: not read",
            "docs/database.md explains each part and says what to do about it",
        ]
    );
}

#[test]
fn a_transaction_is_shown_with_its_age_and_those_that_block_it() {
    let one: Transaction = serde_json::from_value(json!({
        "pid": 7, "database": "orders", "role": "postgres", "application": "psql", "state": "active", "writes": true,
        "seconds": 61.9, "waits_for": "Lock transactionid", "blocked_by": [8, 9],
    }))
    .unwrap();
    let text = rendered(&Report { transactions: vec![one], ..empty() }, "");
    let line = text.lines().find(|line| line.contains("psql")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    let wanted = ["1m1s", "7", "orders", "postgres", "psql", "active", "yes", "Lock", "transactionid", "8,", "9"];
    assert_eq!(cells, wanted);
}

#[test]
fn a_full_count_of_an_outbox_and_what_was_not_read_are_marked() {
    let outbox: Outbox =
        serde_json::from_value(json!({"database": "orders", "pending": PENDING, "seconds": 2.2})).unwrap();
    let problems = vec!["payments, bloat: canceling statement due to lock timeout".to_owned()];
    let text = rendered(&Report { outboxes: vec![outbox], problems, ..empty() }, "");
    assert!(text.contains("10000 or more    2.2s\n"), "{text}");
    assert!(text.ends_with("not read: payments, bloat: canceling statement due to lock timeout\n"), "{text}");
}

#[test]
fn long_statements_are_cut_between_characters() {
    assert_eq!(cut("SELECT 1"), "SELECT 1");
    let long = "é".repeat(WIDTH + 1);
    assert_eq!(cut(&long), format!("{}…", "é".repeat(WIDTH)));
}

#[test]
fn sizes_and_times_have_the_unit_that_fits() {
    assert_eq!([size(24 * 1024), size(3 * 512 * 1024)], ["24 KiB", "1.5 MiB"]);
    assert_eq!([millis(0.04), millis(12.34), millis(2_500.0)], ["0.0ms", "12.3ms", "2.5s"]);
    assert_eq!([age(-1.0), age(59.9), age(3_600.0)], ["0.0s", "59.9s", "1h"]);
}
