//! The report as tables, each with a line that says what it shows and what can be done about it.

use std::time::Duration;

use flotilla_config::HumanDuration;
use flotilla_terminal::{Table, bad, bold, mib};

use super::report::{Limits, PENDING, Report, Statement};

/// Maximum number of characters of a statement.
const WIDTH: usize = 80;
const MINUTE: f64 = 60.0;
const MIB: u64 = 1024 * 1024;

/// The whole report.
pub(super) fn render(report: &Report, address: &str, limits: Limits) -> String {
    let server = &report.server;
    let mut text = format!("PostgreSQL {} at {address}, up {}\n\n", server.version, age(server.up_seconds));
    let sections =
        [statements(report), scanned(report, limits), unused(report), bloat(report), transactions(report, limits)];
    text.extend(sections);
    text.push_str(&outboxes(report));
    text.push_str("docs/database.md explains each part and says what to do about it\n");
    text.extend(report.problems.iter().map(|problem| format!("{} {problem}\n", bad("not read:"))));
    text
}

/// A title, what it shows, and the rows; without rows, one line.
fn section(title: &str, none: &str, about: &str, headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return format!("{}: {none}\n\n", bold(title));
    }
    let mut table = Table::new(headings);
    rows.for_each(|row| table.row(row));
    format!("{}: {about}\n{}\n", bold(title), table.render())
}

fn statements(report: &Report) -> String {
    let title = "Statements by total time";
    let Some(statements) = &report.statements else { return format!("{}: not read\n\n", bold(title)) };
    let since = since(statements.counted_since.as_deref());
    let about = format!("calls{since}; share of the time of all statements, pages from cache or disk");
    let headings =
        [">total", ">share", ">calls", ">mean", ">rows/call", ">pages/call", "database", "role", "statement"];
    section(title, "none was counted", &about, &headings, statements.worst.iter().map(statement))
}

fn statement(one: &Statement) -> Vec<String> {
    vec![
        millis(one.total_ms),
        format!("{:.1}%", one.share * 100.0),
        one.calls.to_string(),
        millis(one.mean_ms),
        format!("{:.1}", one.rows_a_call),
        format!("{:.0}", one.pages_a_call),
        one.database.clone(),
        one.role.clone(),
        cut(&one.statement),
    ]
}

fn scanned(report: &Report, limits: Limits) -> String {
    let since = since(report.server.counted_since.as_deref());
    let none = format!("no table of {} rows or more was often read in full", limits.large);
    let about =
        format!("{} rows or more, read in full at least ten times{since} (`fleet check` does so too)", limits.large);
    let rows = report.scanned_tables.iter().map(|one| {
        vec![
            one.database.clone(),
            one.table.clone(),
            one.rows.to_string(),
            one.scans.to_string(),
            (one.rows_read / one.scans.max(1)).to_string(),
            ago(one.scanned_seconds_ago, "unknown"),
            one.index_scans.to_string(),
        ]
    });
    let headings = ["database", "table", ">rows", ">full scans", ">rows/scan", ">last", ">index scans"];
    section("Tables that may lack an index", &none, &about, &headings, rows)
}

fn unused(report: &Report) -> String {
    let since = since(report.server.counted_since.as_deref());
    let about = format!("not scanned{since}, needed by no constraint; each write maintains them");
    let rows = report.unused_indexes.iter();
    let rows = rows.map(|one| vec![one.database.clone(), one.table.clone(), one.index.clone(), size(one.bytes)]);
    section("Unused indexes", "none", &about, &["database", "table", "index", ">size"], rows)
}

fn bloat(report: &Report) -> String {
    let about = "a fifth or more is dead rows, or space that the rows don't need (estimated)";
    let rows = report.bloat.iter().map(|one| {
        vec![
            one.database.clone(),
            one.table.clone(),
            size(one.bytes),
            size(one.unneeded_bytes),
            one.dead_rows.to_string(),
            ago(one.vacuumed_seconds_ago, "never"),
        ]
    });
    let headings = ["database", "table", ">size", ">unneeded", ">dead rows", ">vacuumed"];
    section("Bloat", "no table has much", about, &headings, rows)
}

fn transactions(report: &Report, limits: Limits) -> String {
    let long = HumanDuration(limits.long);
    let about =
        format!("open for {long} or more; one that writes stalls every relay, each keeps vacuum from freeing rows");
    let rows = report.transactions.iter().map(|one| {
        let blockers: Vec<String> = one.blocked_by.iter().map(ToString::to_string).collect();
        let writes = if one.writes { "yes" } else { "no" };
        vec![
            age(one.seconds),
            one.pid.to_string(),
            one.database.clone(),
            one.role.clone(),
            one.application.clone(),
            one.state.clone(),
            writes.to_owned(),
            one.waits_for.clone(),
            blockers.join(", "),
        ]
    });
    let headings =
        [">age", ">pid", "database", "role", "application", "state", "writes", "waits for", "blocked by pid"];
    section("Long transactions", &format!("none is open for {long} or more"), &about, &headings, rows)
}

fn outboxes(report: &Report) -> String {
    let rows = report.outboxes.iter().map(|one| {
        let more = if one.pending >= i64::from(PENDING) { " or more" } else { "" };
        vec![one.database.clone(), format!("{}{more}", one.pending), age(one.seconds)]
    });
    let about = "rows that the relay hasn't published, and the age of the oldest";
    section("Outbox lag", "not read", about, &["database", ">unpublished", ">oldest"], rows)
}

fn since(time: Option<&str>) -> String {
    time.map(|time| format!(" since {time}")).unwrap_or_default()
}

fn cut(statement: &str) -> String {
    match statement.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &statement[..end]),
        None => statement.to_owned(),
    }
}

fn millis(millis: f64) -> String {
    if millis >= 1000.0 { age(millis / 1000.0) } else { format!("{millis:.1}ms") }
}

/// Tenths of seconds below a minute, else whole seconds.
fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < MINUTE {
        return format!("{seconds:.1}s");
    }
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs();
    HumanDuration::from_secs(whole).to_string()
}

fn ago(seconds: Option<f64>, none: &str) -> String {
    seconds.map_or_else(|| none.to_owned(), |seconds| format!("{} ago", age(seconds)))
}

fn size(bytes: i64) -> String {
    let bytes = u64::try_from(bytes).unwrap_or(0);
    if bytes < MIB { format!("{} KiB", bytes / 1024) } else { mib(bytes / 1024) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
#[path = "table_tests.rs"]
mod tests;
