//! Reads settings out of the tree, each once, and notes everything that is wrong on the way.

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

/// More of what was given isn't shown.
const LONGEST_GIVEN: usize = 80;

/// The tree of all layers, as settings read it.
pub struct Reader<'a> {
    pub(crate) merged: Merged,
    reference: &'a Reference,
    pub(crate) problems: Vec<Problem>,
    /// Settings with a reported problem; problems that follow from it are not reported again.
    told: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(mut merged: Merged, reference: &'a Reference) -> Self {
        let problems = std::mem::take(&mut merged.problems);
        let told = problems.iter().map(|problem| problem.setting.clone()).collect();
        Self { merged, reference, problems, told }
    }

    /// Whether something stands at this name.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether the settings of this section can be read. A section that isn't there is an empty one.
    pub fn enters(&mut self, section: &str) -> bool {
        let value = if section.is_empty() { None } else { self.find(section) };
        if value.is_none_or(|value| matches!(value.kind, ValueKind::Table(_))) {
            return true;
        }
        let below = format!("{section}.");
        let inside = self.reference.settings().iter().find(|setting| setting.name.starts_with(&below));
        let such = inside.map(|setting| format!(", such as {}", setting.name)).unwrap_or_default();
        let message = format!("is a section; set its settings{such}");
        self.note(section, |origin, _| Problem { origin, ..Problem::new(section, message) });
        false
    }

    /// Reads one setting.
    pub fn value<T: SettingValue>(&mut self, name: &str, default: Option<T>) -> Option<T> {
        if self.told.contains(name) {
            return None;
        }
        let read = self.find(name).map(|value| T::read(Given::of(&value.kind)));
        match read {
            Some(Ok(value)) => Some(value),
            Some(Err(unfit)) => {
                self.unfit(name, &T::kind(), &unfit);
                None
            }
            None => {
                if default.is_none() {
                    self.problems.push(Problem::new(name, format!("is missing: expected {}", T::kind())));
                }
                default
            }
        }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        tree::find(&self.merged.tree, name).filter(|value| !matches!(value.kind, ValueKind::Nil))
    }

    /// Takes out what isn't a setting, and says what was probably meant.
    pub(crate) fn refuse_unknown(&mut self) {
        for name in tree::leaves(&self.merged.tree) {
            if self.reference.find(&name).is_some() || self.reference.is_section(&name) {
                continue;
            }
            let meant = like(&name, self.reference);
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            let message = format!("unknown setting{meant}");
            self.note(&name, |origin, _| Problem { origin, ..Problem::new(&name, message) });
            tree::take_out(&mut self.merged.tree, &name);
        }
    }

    /// Puts secrets in the place of their references.
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
                self.note(name, |origin, _| Problem { origin, ..Problem::new(name, message) });
            }
        }
    }

    /// Notes what the checks found, with where each value comes from and what was given, or what holds by default.
    pub(crate) fn checked(&mut self, found: &[Problem], default: impl Fn(&str) -> Option<String>) {
        for problem in found {
            let name = &problem.setting;
            let given = self.given(name).or_else(|| default(name).filter(|_| !self.is_secret(name)));
            let origin = problem.origin.clone().or_else(|| tree::origin(&self.merged.tree, name));
            self.problems.push(Problem { origin, given, ..problem.clone() });
        }
    }

    /// A value that doesn't fit its type.
    fn unfit(&mut self, name: &str, kind: &Kind, unfit: &ValueError) {
        let message = unfit.message(kind);
        self.note(name, |origin, given| match (kind, unfit, given) {
            // The last part of a setting's name says what its words are: an environment, a format.
            (Kind::Choice(words), ValueError::Kind, Some(given)) => {
                let noun = name.rsplit('.').next().unwrap_or(name).replace('_', " ");
                let message = unknown(&noun, &given, words.iter().copied());
                Problem { origin, ..Problem::new(name, message) }
            }
            (_, _, given) => Problem { origin, given, ..Problem::new(name, message) },
        });
    }

    /// Notes a problem, made of the value's origin and of what was given, unless one is known.
    fn note(&mut self, name: &str, problem: impl FnOnce(Option<String>, Option<String>) -> Problem) {
        if self.told.insert(name.to_owned()) {
            let origin = tree::origin(&self.merged.tree, name);
            self.problems.push(problem(origin, self.given(name)));
        }
    }

    fn is_secret(&self, name: &str) -> bool {
        self.merged.masked.contains(name) || self.reference.find(name).is_none_or(|setting| setting.secret)
    }

    /// What was given for a setting that is known and no secret.
    fn given(&self, name: &str) -> Option<String> {
        let value: &Value = tree::find(&self.merged.tree, name).filter(|_| !self.is_secret(name))?;
        let written = without_password(&tree::written(value));
        match written.char_indices().nth(LONGEST_GIVEN) {
            Some((end, _)) => Some(format!("{}...", &written[..end])),
            None => Some(written),
        }
    }
}
