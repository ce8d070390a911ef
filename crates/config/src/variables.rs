//! Settings from variables: long names, aliases, and names of files with the value.

use std::collections::BTreeMap;

use crate::names::{FILE, OURS, PREFIX, SOURCES, setting_of};
use crate::problems::Problem;
use crate::reference::Reference;
use crate::suggest::nearest;

/// A value and its origin.
pub(crate) struct Text {
    pub origin: String,
    pub text: String,
}

/// The variables of one layer, by setting.
#[derive(Default)]
pub(crate) struct Variables {
    pub values: BTreeMap<String, Text>,
    /// Paths of files with a value.
    pub files: BTreeMap<String, Text>,
}

impl Variables {
    /// Picks the variables that belong to settings and ignores others. An empty variable counts as unset, because
    /// Compose files and shells can't unset one. `place` is appended to a variable's name to form its origin. Variables
    /// with the prefix `own` take precedence.
    pub fn pick(
        variables: &[(String, String)],
        own: Option<&str>,
        place: &str,
        reference: &Reference,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut picked = Self::pick_with(PREFIX, variables, place, reference, problems);
        if let Some(prefix) = own {
            let own: Vec<_> = variables.iter().filter(|(variable, _)| variable.starts_with(prefix)).cloned().collect();
            let own = Self::pick_with(prefix, &own, place, reference, problems);
            picked.values.retain(|name, _| !own.files.contains_key(name));
            picked.files.retain(|name, _| !own.values.contains_key(name));
            picked.values.extend(own.values);
            picked.files.extend(own.files);
        }
        picked
    }

    fn pick_with(
        prefix: &str,
        variables: &[(String, String)],
        place: &str,
        reference: &Reference,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut picked = Self::default();
        let mut aliases = BTreeMap::new();
        for (variable, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
            let origin = format!("{variable}{place}");
            let set = Text { origin, text: text.clone() };
            let Some(name) = variable.strip_prefix(prefix) else {
                if let Some(setting) = reference.by_alias(variable) {
                    aliases.insert(setting.name.clone(), set);
                } else if let Some(meant) = meant(variable, reference) {
                    let message = format!("unknown variable; did you mean {meant}?");
                    problems.push(Problem::new(variable, message).at(&set.origin));
                }
                continue;
            };
            let Some(name) = setting_of(name) else {
                let name = name.to_ascii_lowercase().replace("__", ".");
                problems.push(Problem::new(&name, "no setting can have this name").at(&set.origin));
                continue;
            };
            let base = name.strip_suffix(FILE).filter(|base| reference.find(base).is_some());
            match base.filter(|_| reference.find(&name).is_none()) {
                Some(base) => drop(picked.files.insert(base.to_owned(), set)),
                None => drop(picked.values.insert(name, set)),
            }
        }
        for (name, set) in aliases {
            picked.values.entry(name).or_insert(set);
        }
        picked.refuse_duplicates(problems);
        picked
    }

    /// Refuses settings with both a value and a file, because either could be meant.
    fn refuse_duplicates(&mut self, problems: &mut Vec<Problem>) {
        for (name, file) in &self.files {
            if let Some(value) = self.values.get(name) {
                let message = format!("is set twice; unset it or {}", file.origin);
                problems.push(Problem::new(name, message).at(&value.origin));
            }
        }
        self.files.retain(|name, _| !self.values.contains_key(name));
    }
}

/// The known variable that `variable` resembles. Variables that resemble none belong to other programs.
fn meant(variable: &str, reference: &Reference) -> Option<String> {
    let name = variable.strip_prefix(OURS).filter(|_| !SOURCES.contains(&variable))?;
    if name.contains("__") {
        // An underscore is missing after the prefix. The fleet's `FLOTILLA_<SERVICE>__<SETTING>` matches no setting here.
        let dotted = setting_of(name)?;
        let base = dotted.strip_suffix(FILE).unwrap_or(&dotted);
        return reference.find(base).map(|_| format!("{PREFIX}{name}"));
    }
    let aliases = reference.settings().iter().flat_map(|setting| &setting.aliases).map(String::as_str);
    let known = aliases.chain(SOURCES).filter_map(|known| known.strip_prefix(OURS));
    nearest(name, known).map(|known| format!("{OURS}{known}"))
}
