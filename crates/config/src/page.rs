//! Lists settings for people: on a terminal and as a page of the documentation.

use std::fmt::Write as _;

use crate::reference::{Description, Reference};

impl Reference {
    /// All settings for a terminal: type, default, description, variables.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for setting in self.settings() {
            // Writing into a String doesn't fail.
            let _ = writeln!(text, "--{}  {}", setting.name, plain(&setting.kind.name()));
            let _ = writeln!(text, "    {}", plain(&setting.doc));
            let mut facts = vec![value(setting), setting.variable()];
            facts.extend(setting.aliases.iter().map(|alias| format!("or {alias}")));
            facts.extend(setting.live.then(|| "live: changes with a reload".to_owned()));
            let _ = writeln!(text, "    {}", facts.join("; "));
        }
        text
    }

    /// The settings of one section as a table in Markdown.
    #[must_use]
    pub fn table(&self, section: &str) -> String {
        let mut table = String::from("| setting | type | default | reload | description |\n|---|---|---|---|---|\n");
        for setting in self.settings().iter().filter(|setting| top(&setting.name) == section) {
            let names = setting
                .aliases
                .iter()
                .fold(format!("`{}`", setting.name), |names, alias| format!("{names} (also `{alias}`)"));
            let default = match &setting.default {
                Some(default) if default.is_empty() => "empty".to_owned(),
                Some(default) => format!("`{default}`"),
                None if setting.required => "**required**".to_owned(),
                None => "none".to_owned(),
            };
            let reload = if setting.live { "live" } else { "restart" };
            let (kind, doc) = (cell(&setting.kind.name()), cell(&setting.doc));
            let _ = writeln!(table, "| {names} | {kind} | {} | {reload} | {doc} |", cell(&default));
        }
        table
    }

    /// The top-level sections, each with its description; settings outside a section are listed under an empty name.
    #[must_use]
    pub fn top_sections(&self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for setting in self.settings() {
            let name = top(&setting.name);
            if !found.iter().any(|(known, _)| known == name) {
                let doc = self.sections().iter().find(|section| section.name == name && !name.is_empty());
                found.push((name.to_owned(), doc.map(|section| section.doc.clone()).unwrap_or_default()));
            }
        }
        found
    }
}

fn top(name: &str) -> &str {
    name.split_once('.').map_or("", |(section, _)| section)
}

fn value(setting: &Description) -> String {
    match &setting.default {
        Some(default) if default.is_empty() => "default: empty".to_owned(),
        Some(default) => format!("default: {default}"),
        None if setting.required => "required".to_owned(),
        None => "no default".to_owned(),
    }
}

/// Removes Markdown's marks.
fn plain(text: &str) -> String {
    text.replace(['`', '[', ']'], "")
}

/// Escapes a text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}
