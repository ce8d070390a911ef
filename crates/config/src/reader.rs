//! Reads each setting from the tree once, and collects the problems.

use std::collections::BTreeSet;

use config::{Value, ValueKind};

use crate::kind::Kind;
use crate::merged::Merged;
use crate::problems::Problem;
use crate::reference::Reference;
use crate::resolve::{Secrets, scheme_of};
use crate::shown::without_password;
use crate::suggest::{like, unknown};
use crate::tree;
use crate::value::{Given, SettingValue, ValueError};

/// Maximum number of characters of a given value that errors show.
const MAX_SHOWN: usize = 80;

/// Reads settings from the merged tree.
pub struct Reader<'a> {
    pub(crate) merged: Merged,
    reference: &'a Reference,
    pub(crate) problems: Vec<Problem>,
    /// Settings with a reported problem; further problems with them are not reported.
    reported: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(mut merged: Merged, reference: &'a Reference) -> Self {
        let problems = std::mem::take(&mut merged.problems);
        let reported = problems.iter().map(|problem| problem.setting.clone()).collect();
        Self { merged, reference, problems, reported }
    }

    /// Whether the setting or section has a value.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether the settings of this section can be read: it is a section or absent. Reports a value in its place.
    pub fn check_section(&mut self, section: &str) -> bool {
        let value = if section.is_empty() { None } else { self.find(section) };
        if value.is_none_or(|value| matches!(value.kind, ValueKind::Table(_))) {
            return true;
        }
        let below = format!("{section}.");
        let inside = self.reference.settings().iter().find(|setting| setting.name.starts_with(&below));
        let such = inside.map(|setting| format!(", such as {}", setting.name)).unwrap_or_default();
        let message = format!("is a section; set its settings{such}");
        self.report(section, |origin, _| Problem { origin, ..Problem::new(section, message) });
        false
    }

    /// Reads one setting.
    pub fn value<T: SettingValue>(&mut self, name: &str, default: Option<T>) -> Option<T> {
        if self.reported.contains(name) {
            return None;
        }
        let read = self.find(name).map(|value| T::read(Given::of(&value.kind)));
        match read {
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => {
                self.invalid(name, &T::kind(), &error);
                None
            }
            None => {
                if default.is_none() {
                    self.problems.push(Problem::new(name, format!("is required; expected {}", T::kind())));
                }
                default
            }
        }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        tree::find(&self.merged.tree, name).filter(|value| !matches!(value.kind, ValueKind::Nil))
    }

    /// Removes and reports what isn't a setting, and suggests what was probably meant.
    pub(crate) fn refuse_unknown(&mut self) {
        for name in tree::leaves(&self.merged.tree) {
            if self.reference.find(&name).is_some() || self.reference.is_section(&name) {
                continue;
            }
            let meant = like(&name, self.reference);
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            let message = format!("unknown setting{meant}");
            self.report(&name, |origin, _| Problem { origin, ..Problem::new(&name, message) });
            tree::remove(&mut self.merged.tree, &name);
        }
    }

    /// Replaces references by their secrets.
    pub(crate) fn substitute(&mut self, secrets: &Secrets) {
        use secrecy::ExposeSecret as _;
        for found in self.merged.references() {
            let (name, reference) = (&found.setting, &found.reference);
            if let Some(secret) = secrets.get(reference) {
                let origin = tree::origin(&self.merged.tree, name).unwrap_or_default();
                let value = tree::text(&format!("{reference} by {origin}"), secret.expose_secret());
                tree::put(&mut self.merged.tree, name, Some(value));
                self.merged.masked.insert(name.clone());
            } else {
                let store = scheme_of(reference).unwrap_or_default();
                let message = format!("refers to a secret in {store}, which was not resolved");
                self.report(name, |origin, _| Problem { origin, ..Problem::new(name, message) });
            }
        }
    }

    /// Reports what validation found, with the origin of each value and what was given, or else the default.
    pub(crate) fn checked(&mut self, found: &[Problem], default: impl Fn(&str) -> Option<String>) {
        for problem in found {
            let name = &problem.setting;
            let given = self.given(name).or_else(|| default(name).filter(|_| !self.is_secret(name)));
            let origin = problem.origin.clone().or_else(|| tree::origin(&self.merged.tree, name));
            self.problems.push(Problem { origin, given, ..problem.clone() });
        }
    }

    /// Reports a value that doesn't have the setting's type.
    fn invalid(&mut self, name: &str, kind: &Kind, error: &ValueError) {
        let message = error.message(kind);
        self.report(name, |origin, given| match (kind, error, given) {
            // The last part of a setting's name says what its words name: an environment, a format.
            (Kind::Choice(words), ValueError::Kind, Some(given)) => {
                let noun = name.rsplit('.').next().unwrap_or(name).replace('_', " ");
                let message = unknown(&noun, &given, words.iter().copied());
                Problem { origin, ..Problem::new(name, message) }
            }
            (_, _, given) => Problem { origin, given, ..Problem::new(name, message) },
        });
    }

    /// Reports a problem, made from the value's origin and what was given, unless the setting already has one.
    fn report(&mut self, name: &str, problem: impl FnOnce(Option<String>, Option<String>) -> Problem) {
        if self.reported.insert(name.to_owned()) {
            let origin = tree::origin(&self.merged.tree, name);
            self.problems.push(problem(origin, self.given(name)));
        }
    }

    fn is_secret(&self, name: &str) -> bool {
        self.merged.masked.contains(name) || self.reference.find(name).is_none_or(|setting| setting.secret)
    }

    /// The value given for a setting; `None` if it is unknown or a secret.
    fn given(&self, name: &str) -> Option<String> {
        let value: &Value = tree::find(&self.merged.tree, name).filter(|_| !self.is_secret(name))?;
        let written = without_password(&tree::written(value));
        match written.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => Some(format!("{}...", &written[..end])),
            None => Some(written),
        }
    }
}
