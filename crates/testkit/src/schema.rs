//! Compares the schema that migrations make with the one that is committed as `schema.sql`.
//!
//! The committed text is `pg_dump`'s, without what depends on the server's build and settings. What every service's
//! database has (messaging's tables, the chassis', the histories) is committed once, in `crates/service/schema.sql`; a
//! service's own file has the rest. `UPDATE_SCHEMA=1` writes the files anew.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use flotilla_config::ExposeSecret as _;
use flotilla_servers::{Layout, postgres_tool};

use crate::database::Database;
use crate::servers::ROOT;

/// The service in whose database the shared part is dumped; its roles stand for those of any service.
pub const SHARED: &str = "shared";
/// The shared part.
const SHARED_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../service/schema.sql");
/// The major version whose dumps are committed: other versions write the same schema in another way.
const MAJOR: i32 = 18;
/// The start of an object in a dump.
const OBJECT: &str = "\n--\n-- Name: ";
/// The start of an object in a committed file.
const MARK: &str = "-- Object: ";

/// Fails if the database's schema isn't the committed one: `schema.sql` in the crate at `manifest`.
///
/// # Panics
/// They differ, or the schema can't be dumped.
pub async fn assert_schema(database: &Database, manifest: &str) {
    let version: i32 = database.value("SELECT current_setting('server_version_num')::integer / 10000", &[]).await;
    if version != MAJOR {
        eprintln!("SKIPPED: schemas are compared on PostgreSQL {MAJOR}, and the server has version {version}");
        return;
    }
    let dumped = objects(&dump(database).await.unwrap());
    let (file, own) = if database.service == SHARED {
        (PathBuf::from(SHARED_FILE), dumped)
    } else {
        (Path::new(manifest).join("schema.sql"), without_shared(dumped, database.service))
    };
    let text = render(&own);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if let Some(difference) = difference(&committed, &text) {
        panic!("{} isn't what the migrations make; if they are right, run make schema\n{difference}", file.display());
    }
}

async fn dump(database: &Database) -> Result<String> {
    let layout = Layout::open(Path::new(ROOT))?;
    let mut command = postgres_tool(&layout, "pg_dump").await?;
    command.arg("--schema-only").arg("--no-owner");
    command.arg("--dbname").arg(database.urls().owner.expose_secret());
    let output = command.output().await.context("pg_dump can't be run")?;
    ensure!(output.status.success(), "pg_dump failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The objects of a dump, each with its name and type in a comment.
fn objects(dump: &str) -> Vec<String> {
    let text = dump.replace("\r\n", "\n");
    text.split(OBJECT).skip(1).map(object).collect()
}

fn object(part: &str) -> String {
    let (heading, body) = part.split_once('\n').unwrap_or((part, ""));
    let name = heading.split("; Schema: ").next().unwrap_or(heading);
    let body = body.strip_prefix("--\n").unwrap_or(body);
    let body = body.split("\n--\n-- PostgreSQL database dump complete").next().unwrap_or(body);
    // Settings of the session that reads the dump.
    let lines = body.lines().filter(|line| !line.starts_with("SET default_"));
    format!("{MARK}{name}\n{}\n", lines.collect::<Vec<_>>().join("\n").trim())
}

/// The objects that aren't shared. All shared ones must be there.
fn without_shared(mut dumped: Vec<String>, service: &str) -> Vec<String> {
    let shared = std::fs::read_to_string(SHARED_FILE).unwrap().replace(&format!("{SHARED}_"), &format!("{service}_"));
    for wanted in parsed(&shared) {
        let found = dumped.iter().position(|object| *object == wanted);
        let Some(found) = found else {
            let heading = wanted.lines().next().unwrap_or_default();
            panic!(
                "{service}'s database differs from {SHARED_FILE} in this object (make schema writes both):\n{heading}"
            );
        };
        dumped.remove(found);
    }
    dumped
}

const HEADING: &str = "-- The schema after all migrations, as pg_dump shows it. Written by `make schema`.\n";

fn render(objects: &[String]) -> String {
    format!("{HEADING}\n{}", objects.join("\n"))
}

/// The objects of a committed file.
fn parsed(text: &str) -> Vec<String> {
    text.split(&format!("\n{MARK}")).skip(1).map(|part| format!("{MARK}{}\n", part.trim_end())).collect()
}

/// The first line that differs, with the two after it.
fn difference(committed: &str, made: &str) -> Option<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (committed.lines().collect(), made.lines().collect());
    let first = (0..old.len().max(new.len())).find(|line| old.get(*line) != new.get(*line))?;
    let shown = |lines: &[&str]| match lines.get(first..) {
        None | Some([]) => "(end)".to_owned(),
        Some(rest) => rest[..rest.len().min(3)].join("\n    "),
    };
    Some(format!("line {}:\n  committed:\n    {}\n  migrated:\n    {}", first + 1, shown(&old), shown(&new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET lock_timeout = 0;\n\n--\n-- Name: a; Type: TABLE; \
        Schema: public; Owner: -\n--\n\nCREATE TABLE public.a (\n    x integer\n);\n\n\nSET default_tablespace = '';\n\n--\n-- Name: b; \
        Type: TABLE; Schema: public; Owner: -\n--\n\nCREATE TABLE public.b (\n);\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n\
        \\unrestrict abc\n";

    #[test]
    fn a_dump_is_cut_into_its_objects_without_the_settings_of_a_session() {
        let found = objects(DUMP);
        assert_eq!(found[0], "-- Object: a; Type: TABLE\nCREATE TABLE public.a (\n    x integer\n);\n");
        assert_eq!(found[1], "-- Object: b; Type: TABLE\nCREATE TABLE public.b (\n);\n");
        assert_eq!(found.len(), 2);
        assert_eq!(parsed(&render(&found)), found, "a file says the same");
    }

    #[test]
    fn the_first_difference_is_shown_with_its_line() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let changed = difference("a\nb\nc\n", "a\nB\nc\n").unwrap();
        assert_eq!(changed, "line 2:\n  committed:\n    b\n    c\n  migrated:\n    B\n    c");
        let added = difference("a\n", "a\nb\n").unwrap();
        assert_eq!(added, "line 2:\n  committed:\n    (end)\n  migrated:\n    b");
    }
}
