//! Row writes by database and table.

use std::collections::BTreeMap;

use anyhow::Result;
use flotilla_checker::Databases;
use flotilla_terminal::Table;
use serde::Serialize;

use super::to_f64;

/// By table, with partitions counted as their table. A row whose values lie in a TOAST table is written there too, so those
/// count. The system's catalogues don't: `pg_stat_database` counts what ANALYZE writes there.
const SQL: &str = "
    SELECT coalesce(pg_partition_root(owner.oid), owner.oid)::regclass::text || part.suffix,
           sum(pg_stat_get_tuples_inserted(part.relid))::bigint,
           sum(pg_stat_get_tuples_updated(part.relid))::bigint,
           sum(pg_stat_get_tuples_deleted(part.relid))::bigint
    FROM pg_class AS owner
    CROSS JOIN LATERAL (VALUES (owner.oid, ''), (owner.reltoastrelid, ' (TOAST)')) AS part (relid, suffix)
    WHERE owner.relkind = 'r' AND part.relid <> 0
      AND owner.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    GROUP BY 1";
/// Tables with fewer writes for each order are summed up in one line.
const LEAST: f64 = 0.005;

/// The writes of one order to one table.
#[derive(Clone, Debug, Serialize)]
pub struct TableWrites {
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
    /// Rows inserted.
    pub inserted: f64,
    /// Rows updated.
    pub updated: f64,
    /// Rows deleted.
    pub deleted: f64,
}

/// Rows inserted, updated and deleted, by database and table.
#[derive(Clone, Debug, Default)]
pub struct RowWrites(BTreeMap<(String, String), [i64; 3]>);

impl RowWrites {
    /// The counts so far, as far as backends have published them.
    ///
    /// # Errors
    /// When a database doesn't answer.
    pub async fn read(databases: &Databases) -> Result<Self> {
        let mut tables = BTreeMap::new();
        for database in databases.services() {
            for row in databases.rows(database, SQL).await? {
                let counts = [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
                tables.insert((database.to_owned(), row.try_get(0)?), counts);
            }
        }
        Ok(Self(tables))
    }

    /// What was written since an earlier reading. A partition that was dropped meanwhile counts as nothing.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (table, counts) in &mut self.0 {
            let before = earlier.0.get(table).copied().unwrap_or_default();
            for (count, before) in counts.iter_mut().zip(before) {
                *count = (*count - before).max(0);
            }
        }
        self
    }

    /// All writes.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.0.values().flatten().sum()
    }

    /// The writes of each of so many orders.
    #[must_use]
    pub fn each(&self, orders: i64) -> Vec<TableWrites> {
        let each = |count: i64| to_f64(count) / to_f64(orders.max(1));
        let written = self.0.iter().filter(|(_, counts)| each(counts.iter().sum()) >= LEAST);
        let figures = written.map(|((database, table), counts)| {
            let [inserted, updated, deleted] = counts.map(each);
            TableWrites { database: database.clone(), table: table.clone(), inserted, updated, deleted }
        });
        figures.collect()
    }

    /// The writes of each of so many orders, the most written table first.
    #[must_use]
    pub fn render(&self, orders: i64) -> String {
        let mut table = Table::new(&["database", "table", ">inserted", ">updated", ">deleted", ">together"]);
        let each = |count: i64| to_f64(count) / to_f64(orders.max(1));
        let mut row = |database: &str, name: &str, counts: [i64; 3]| {
            let [inserted, updated, deleted] = counts.map(|count| format!("{:.2}", each(count)));
            let together = format!("{:.2}", each(counts.iter().sum()));
            table.row([database.to_owned(), name.to_owned(), inserted, updated, deleted, together]);
        };
        let mut written: Vec<_> = self.0.iter().collect();
        written.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<i64>()));
        let (mut others, mut all) = ([0; 3], [0; 3]);
        for ((database, name), counts) in written {
            add(&mut all, counts);
            if each(counts.iter().sum()) < LEAST {
                add(&mut others, counts);
            } else {
                row(database, name, *counts);
            }
        }
        row("all", "others", others);
        row("all", "together", all);
        table.render()
    }
}

fn add(sums: &mut [i64; 3], counts: &[i64; 3]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(tables: &[(&str, [i64; 3])]) -> RowWrites {
        RowWrites(tables.iter().map(|(name, counts)| (("orders".to_owned(), (*name).to_owned()), *counts)).collect())
    }

    #[test]
    fn only_what_was_written_since_counts_and_a_dropped_partition_takes_nothing_away() {
        let before = writes(&[("orders", [10, 5, 0]), ("outbox", [100, 0, 0])]);
        let after = writes(&[("orders", [12, 9, 0]), ("outbox", [40, 0, 0]), ("parked", [0, 0, 1])]);
        let since = after.since(&before);
        assert_eq!(since.0[&("orders".to_owned(), "orders".to_owned())], [2, 4, 0]);
        assert_eq!(since.total(), 7);
    }

    #[test]
    fn the_most_written_table_comes_first_and_rare_writes_share_a_line() {
        let text = writes(&[("a", [1, 0, 0]), ("orders", [1000, 2000, 0])]).render(1000);
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["orders", "orders", "1.00", "2.00", "0.00", "3.00"]);
        assert_eq!(lines[2], ["all", "others", "0.00", "0.00", "0.00", "0.00"]);
        assert_eq!(lines[3], ["all", "together", "1.00", "2.00", "0.00", "3.00"]);
    }
}
