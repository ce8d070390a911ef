//! docs/settings.md is what the settings' types say.

use std::fmt::Write as _;

use crate::{root, subjects};

/// A section as it is told, and the services that have it.
struct Told {
    name: String,
    doc: String,
    table: String,
    services: Vec<&'static str>,
}

/// A section that is the same in several services is told once.
fn sections() -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for subject in subjects() {
        for (name, doc) in subject.reference.top_sections() {
            let table = subject.reference.table(&name);
            match told.iter_mut().find(|told| told.name == name && told.table == table) {
                Some(same) => same.services.push(subject.name),
                None => told.push(Told { name, doc, table, services: vec![subject.name] }),
            }
        }
    }
    // What most services have comes first.
    told.sort_by_key(|told| usize::MAX - told.services.len());
    told
}

fn page() -> String {
    let all = subjects().len();
    let mut page = String::from(
        "# Settings\n\n\
         <!-- Generated from the types: `UPDATE_DOCS=1 cargo test -p flotilla-fleet --test settings`. -->\n\n\
         Every setting of every service. To set `saga.tick`, use the variable `FLOTILLA__SAGA__TICK`, the flag\n\
         `--saga.tick=1s`, the section `[saga]` of a file, or one of the other sources that\n\
         [configuration.md](configuration.md) describes. A setting marked `live` can change with a reload; any other needs\n\
         a restart, and a reload that would change it is refused. `flotilla orders settings` prints the same list for one\n\
         service; `flotilla orders --print-config` prints its effective values and their sources.\n\n\
         A duration is written like `250ms`, `5s`, `2m` or `1h30m`; a size in bytes like `512`, `64KiB` or `1MiB`; a URL\n\
         like `http://host:port`; a list in a variable or flag is separated by commas. Secrets are strings that are never\n\
         shown.\n",
    );
    for told in sections() {
        let title = if told.name.is_empty() { "without a section".to_owned() } else { format!("`{}`", told.name) };
        let of = if told.services.len() == all { "all services".to_owned() } else { told.services.join(", ") };
        // Writing into a String doesn't fail.
        let _ = write!(page, "\n## {title} ({of})\n");
        if !told.doc.is_empty() {
            let _ = write!(page, "\n{}\n", told.doc.replace("[`", "`").replace("`]", "`"));
        }
        let _ = write!(page, "\n{}", told.table);
    }
    page
}

#[test]
fn the_page_of_settings_is_up_to_date() {
    let path = root().join("docs/settings.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/settings.md is not what the types say: UPDATE_DOCS=1 cargo test -p flotilla-fleet --test settings"
    );
}

#[test]
fn every_setting_says_what_it_is_for() {
    for subject in subjects() {
        for setting in subject.reference.settings() {
            assert!(!setting.doc.is_empty(), "{}: {} has no doc comment", subject.name, setting.name);
        }
    }
}

#[test]
fn no_variable_sets_two_settings() {
    for subject in subjects() {
        let mut seen = std::collections::BTreeSet::new();
        for setting in subject.reference.settings() {
            for variable in setting.aliases.iter().cloned().chain([setting.variable()]) {
                assert!(seen.insert(variable.clone()), "{}: {variable} sets two", subject.name);
            }
        }
    }
}
