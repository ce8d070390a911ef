//! The list of reasons is whole: the code uses none that isn't in it, and the page of all errors is made from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flotilla_rpc::reasons::{self, REASONS};

/// What a reason stands behind, besides a code: errors are made by one type, and over REST by one other.
const MAKERS: &[&str] = &["bad_request(", "argument(", "transport("];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Sources of all crates and services, without their tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join("crates"), root().join("services")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "target", "benches"].contains(&name.as_str()) {
                open.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" && !path.ends_with("rpc/src/reasons/table.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.push((path, code));
            }
        }
    }
    found
}

/// A text that may be a reason, and what stands before it.
fn upper_snakes(code: &str) -> impl Iterator<Item = (&str, &str)> {
    code.match_indices('"').filter_map(|(at, _)| {
        let (before, after) = (code[..at].trim_end(), &code[at + 1..]);
        let end = after.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
        (end > 2 && after[end..].starts_with('"')).then(|| (before, &after[..end]))
    })
}

/// The code after which a reason stands, where it does: `Code::Internal,`.
fn code_before(before: &str) -> Option<&str> {
    let (_, name) = before.strip_suffix(',')?.rsplit_once("Code::")?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(name)
}

#[test]
fn every_reason_that_the_code_uses_is_in_the_list_with_its_code() {
    let mut found = 0;
    for (path, code) in sources() {
        for (before, reason) in upper_snakes(&code) {
            let with = code_before(before);
            if with.is_none() && !MAKERS.iter().any(|maker| before.ends_with(maker)) {
                continue;
            }
            let fits = |name: &str| with.is_none_or(|with| with == name);
            let known = reasons::find(reason).any(|known| fits(&format!("{:?}", known.code)));
            assert!(known, "{reason} with {with:?} is not in crates/rpc/src/reasons; used in {}", path.display());
            found += 1;
        }
    }
    assert!(found > 40, "the search finds what it looks for: {found}");
}

#[test]
fn every_reason_of_the_list_is_used() {
    let sources = sources();
    let used: BTreeSet<&str> =
        sources.iter().flat_map(|(_, code)| upper_snakes(code)).map(|(_, reason)| reason).collect();
    for reason in REASONS.iter().flat_map(|group| group.reasons) {
        assert!(used.contains(reason.name), "{} is used nowhere", reason.name);
    }
}

#[test]
fn the_page_of_errors_is_up_to_date() {
    let path = root().join("docs/errors.md");
    let page = reasons::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/errors.md is not what the list says: UPDATE_DOCS=1 cargo test -p flotilla-rpc page");
}
