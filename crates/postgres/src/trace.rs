//! Spans of statements: they name the operation and the table, never the values.

use std::borrow::Cow;

use flotilla_telemetry::{Kind, Span, sampled};

use crate::error::Error;

/// Maximum number of words of a statement that are examined for its summary.
const WORDS: usize = 400;

/// The span of a statement or of a pseudo-statement (`begin`, `commit`); `None` if the trace isn't sampled.
pub(crate) fn statement(what: &str) -> Span {
    if !sampled() {
        return Span::none();
    }
    let summary = summary(what);
    let span = Span::child(Kind::Client, summary.clone());
    span.set("db.system.name", "postgresql");
    span.set("db.query.summary", summary);
    span
}

/// Records why the statement failed: the server's code and the error's kind, not the text, which may quote values.
pub(crate) fn failed(span: &Span, error: &Error) {
    if let Some(state) = error.sql_state() {
        span.set("db.response.status_code", state.to_owned());
    }
    span.fail(error.kind().as_str(), error.kind().as_str());
}

/// The first write of a statement and its table, or else the table it reads: `INSERT orders`, `SELECT stock`.
pub(crate) fn summary(sql: &str) -> Cow<'static, str> {
    match sql {
        "begin" => return "BEGIN".into(),
        "commit" => return "COMMIT".into(),
        "rollback" => return "ROLLBACK".into(),
        "ping" => return "PING".into(),
        _ => {}
    }
    let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let words = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';')));
    let mut words = words.filter(|word| !word.is_empty()).take(WORDS).peekable();
    let mut read = None;
    let mut previous = "";
    let mut first = None;
    while let Some(word) = words.next() {
        first.get_or_insert(word);
        let write = match (previous, word) {
            ("INSERT", "INTO") => Some("INSERT"),
            ("DELETE", "FROM") => Some("DELETE"),
            // Not `FOR UPDATE`, `DO UPDATE`, `ON UPDATE` or `FOR NO KEY UPDATE`.
            ("FOR" | "DO" | "ON" | "KEY", "UPDATE") => None,
            (_, "UPDATE") => Some("UPDATE"),
            _ => None,
        };
        if let Some(write) = write {
            return named(write, words.peek().copied());
        }
        if word == "FROM" && read.is_none() {
            read = words.peek().copied().filter(|table| is_name(table) && *table != "unnest");
        }
        previous = word;
    }
    match (first, read) {
        (Some("SELECT" | "WITH"), table) => named("SELECT", table),
        (Some(word), _) if is_name(word) => word.to_owned().into(),
        _ => "SQL".into(),
    }
}

fn named(verb: &'static str, table: Option<&str>) -> Cow<'static, str> {
    match table.filter(|table| is_name(table)) {
        Some(table) => format!("{verb} {table}").into(),
        None => verb.into(),
    }
}

/// Whether a word is a name, not an operator, a parameter or a string.
fn is_name(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_is_done_to_which_table() {
        for (sql, expected) in [
            ("begin", "BEGIN"),
            ("SELECT o.id FROM orders AS o WHERE o.id = $1", "SELECT orders"),
            ("INSERT INTO order_lines (a) SELECT * FROM unnest($1::uuid[])", "INSERT order_lines"),
            ("WITH appended AS (\n INSERT INTO outbox (id) SELECT 1)\nSELECT pg_current_xact_id()", "INSERT outbox"),
            (
                "-- Locks FROM nobody.\nSELECT s.a\nFROM unnest($1::uuid[]) AS k\nCROSS JOIN LATERAL (SELECT * FROM sagas FOR UPDATE)",
                "SELECT sagas",
            ),
            ("UPDATE stock SET a = 1", "UPDATE stock"),
            ("DELETE FROM sessions WHERE a < $1", "DELETE sessions"),
            ("SELECT a FROM stock FOR NO KEY UPDATE SKIP LOCKED", "SELECT stock"),
            ("SELECT 1", "SELECT"),
            ("SELECT * FROM 'jane'", "SELECT"),
            ("SAVEPOINT messaging", "SAVEPOINT"),
            ("SET LOCAL plan_cache_mode = x", "SET"),
            ("", "SQL"),
            ("'text' only", "SQL"),
        ] {
            assert_eq!(summary(sql), expected, "{sql}");
        }
    }
}
