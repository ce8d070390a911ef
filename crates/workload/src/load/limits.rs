//! What a settled order may cost the databases at full load.

use clap::Args;

use super::counts::Counts;

const MAX_SYNCS: f64 = 0.1;
const MAX_ROW_WRITES: f64 = 16.0;
const MAX_WAL_RECORDS: f64 = 45.0;
const MAX_WAL_BYTES: f64 = 8_000.0;

/// Limits of the counts.
#[derive(Clone, Debug, Args)]
pub struct Limits {
    /// Fail when a settled order costs the databases more at full load than the limits below.
    #[arg(long)]
    pub check_limits: bool,
    /// Maximum number of database syncs for each settled order.
    #[arg(long, value_name = "NUMBER", requires = "check_limits", default_value_t = MAX_SYNCS)]
    pub max_syncs: f64,
    /// Maximum number of rows inserted, updated and deleted for each settled order, in all databases.
    #[arg(long, value_name = "NUMBER", requires = "check_limits", default_value_t = MAX_ROW_WRITES)]
    pub max_row_writes: f64,
    /// Maximum number of WAL records for each settled order.
    #[arg(long, value_name = "NUMBER", requires = "check_limits", default_value_t = MAX_WAL_RECORDS)]
    pub max_wal_records: f64,
    /// Maximum number of bytes of WAL for each settled order. Full-page images don't count if the server has
    /// `pg_walinspect`, which tells them from the rest.
    #[arg(long, value_name = "NUMBER", requires = "check_limits", default_value_t = MAX_WAL_BYTES)]
    pub max_wal_bytes: f64,
}

impl Limits {
    /// Name, count, limit, and how many decimal places the count is printed with.
    pub(super) fn beside(&self, counts: &Counts) -> [(&'static str, f64, f64, usize); 4] {
        [
            ("database syncs", counts.syncs, self.max_syncs, 3),
            ("row writes", counts.row_writes, self.max_row_writes, 2),
            ("WAL records", counts.wal_records, self.max_wal_records, 1),
            ("WAL bytes", counts.wal_bytes, self.max_wal_bytes, 0),
        ]
    }

    /// A sentence for each exceeded limit, if limits are checked. A count that isn't a number exceeds its limit.
    #[must_use]
    pub fn exceeded(&self, counts: &Counts) -> Vec<String> {
        if !self.check_limits {
            return Vec::new();
        }
        let broken = self.beside(counts).into_iter().filter(|(_, count, limit, _)| count.is_nan() || count > limit);
        broken
            .map(|(name, count, limit, decimals)| {
                format!("{count:.decimals$} {name} for each settled order exceed the limit of {limit}")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        syncs: 0.05,
        row_writes: 16.5,
        wal_records: 45.0,
        wal_bytes: f64::NAN,
        full_page_image_bytes: Some(1e6),
    };

    fn limits(check_limits: bool) -> Limits {
        Limits { check_limits, max_syncs: 0.1, max_row_writes: 16.0, max_wal_records: 45.0, max_wal_bytes: 8000.0 }
    }

    #[test]
    fn what_exceeds_its_limit_is_named_with_both_figures() {
        let exceeded = limits(true).exceeded(&COUNTS);
        assert_eq!(exceeded[0], "16.50 row writes for each settled order exceed the limit of 16");
        assert_eq!(exceeded.len(), 2, "{exceeded:?}");
        assert!(exceeded[1].contains("WAL bytes"), "an unknown count holds no limit: {exceeded:?}");
    }

    #[test]
    fn without_the_option_nothing_is_checked() {
        assert_eq!(limits(false).exceeded(&COUNTS), Vec::<String>::new());
    }
}
