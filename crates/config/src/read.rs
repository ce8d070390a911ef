//! Reading the tree as a settings type, past the first problem.

use std::collections::BTreeSet;

use config::Value;
use serde::de::DeserializeOwned;

use crate::effective::{Effective, Loaded};
use crate::error::ConfigError;
use crate::failure::{Failure, Kind};
use crate::merged::Merged;
use crate::node::{Attempt, Node, TRIES};
use crate::problems::{Problem, Problems, Validate};
use crate::reference::Reference;
use crate::resolve::{Secrets, scheme_of};
use crate::setting::{Setting, without_password};
use crate::suggest;
use crate::tree;

/// Each attempt finds at least one thing; this many settings nobody has.
const ATTEMPTS: usize = 2_000;
/// More of what was given isn't shown.
const LONGEST_GIVEN: usize = 80;

/// Reads all of it, and checks it as a whole where the types fit.
pub(crate) fn read<T: DeserializeOwned + Validate + Setting>(
    merged: Merged,
    reference: &Reference,
    secrets: &Secrets,
) -> Result<Loaded<T>, ConfigError> {
    let mut reader = Reader::new(merged, reference);
    reader.refuse_unknown();
    reader.substitute(secrets);
    if let Some(settings) = reader.attempts::<T>().filter(|_| reader.problems.is_empty()) {
        reader.check(&settings);
        if reader.problems.is_empty() {
            let effective = Effective::of(&settings, &reader.merged, reference);
            return Ok(Loaded { settings, effective });
        }
    }
    Err(ConfigError::Settings(reader.problems))
}

struct Reader<'a> {
    merged: Merged,
    reference: &'a Reference,
    problems: Vec<Problem>,
    /// Settings that a problem was told about; what follows from it is not told again.
    told: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn new(mut merged: Merged, reference: &'a Reference) -> Self {
        let problems = std::mem::take(&mut merged.problems);
        let told = problems.iter().map(|problem| problem.setting.clone()).collect();
        Self { merged, reference, problems, told }
    }

    /// Takes out what isn't a setting, and says what was probably meant.
    fn refuse_unknown(&mut self) {
        for name in tree::leaves(&self.merged.tree) {
            if self.reference.find(&name).is_none() && !self.reference.is_section(&name) {
                self.unknown(&name);
            }
        }
    }

    fn unknown(&mut self, name: &str) {
        if self.told.insert(name.to_owned()) {
            let meant = suggest::like(name, self.reference);
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            let origin = tree::origin(&self.merged.tree, name);
            self.problems.push(Problem { origin, ..Problem::new(name, format!("is not a setting{meant}")) });
        }
        tree::take_out(&mut self.merged.tree, name);
    }

    /// Puts secrets in the place of their references.
    fn substitute(&mut self, secrets: &Secrets) {
        use secrecy::ExposeSecret as _;
        for found in self.merged.references() {
            let (name, reference) = (&found.setting, &found.reference);
            let origin = tree::origin(&self.merged.tree, name).unwrap_or_default();
            match secrets.get(reference) {
                Some(secret) => {
                    let origin = format!("{reference} by {origin}");
                    let value = tree::text(&origin, secret.expose_secret());
                    tree::put(&mut self.merged.tree, name, Some(value));
                    self.merged.masked.insert(name.clone());
                }
                None => {
                    let store = scheme_of(reference).unwrap_or_default();
                    let message = format!("refers to a secret in {store}, which was not resolved");
                    self.problems.push(Problem::new(name, message).at(&origin));
                    self.told.insert(name.clone());
                }
            }
        }
    }

    /// Attempts to read until one comes through; each that doesn't makes the next one look further.
    fn attempts<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut attempt = Attempt::default();
        for name in &self.told {
            attempt.hidden.insert(name.clone());
        }
        let mut missing = Vec::new();
        let mut settings = None;
        for _ in 0..ATTEMPTS {
            attempt.unknown.borrow_mut().clear();
            let result = T::deserialize(Node::root(&self.merged.tree, &attempt));
            let unknown = attempt.unknown.take();
            let changed = !unknown.is_empty();
            for name in unknown {
                self.unknown(&name);
            }
            match result {
                Ok(read) if !changed => {
                    settings = Some(read);
                    break;
                }
                Ok(_) => {}
                Err(_) if changed => {}
                Err(failure) => {
                    if !self.look_further(&failure, &mut attempt, &mut missing) {
                        break;
                    }
                }
            }
        }
        let sections = attempt.sections.take();
        for name in missing {
            // A section can't be set; its fields are told instead.
            if !sections.contains(&name) && self.told.insert(name.clone()) {
                let kind = self.reference.find(&name).map(|setting| format!(": expected {}", setting.kind.text));
                self.problems.push(Problem::new(&name, format!("is missing{}", kind.unwrap_or_default())));
            }
        }
        if settings.is_none() && self.problems.is_empty() {
            self.problems.push(Problem::new("", "the settings can't be read"));
        }
        settings
    }

    /// Notes the failure and arranges for the next attempt to get past it. False when there is no way.
    fn look_further(&mut self, failure: &Failure, attempt: &mut Attempt, missing: &mut Vec<String>) -> bool {
        let name = failure.setting.clone().unwrap_or_default();
        match failure.kind {
            Kind::Missing => {
                missing.push(name.clone());
                attempt.stand_ins.insert(name, 0).is_none()
            }
            Kind::Unknown => {
                self.unknown(&name);
                true
            }
            Kind::Bad => match attempt.stand_ins.get_mut(&name) {
                Some(tries) => {
                    *tries += 1;
                    *tries < TRIES
                }
                None => {
                    self.bad(&name, &failure.message);
                    // Whatever is absent and needed gets a stand-in.
                    attempt.hidden.insert(name)
                }
            },
        }
    }

    /// A value that doesn't fit its type.
    fn bad(&mut self, name: &str, message: &str) {
        if self.told.insert(name.to_owned()) {
            let expected = self.reference.find(name).filter(|_| !message.contains("expected"));
            let expected = expected.map(|setting| format!("; expected {}", setting.kind.text)).unwrap_or_default();
            let origin = tree::origin(&self.merged.tree, name);
            let given = self.given(name);
            self.problems.push(Problem { origin, given, ..Problem::new(name, format!("{message}{expected}")) });
        }
    }

    /// What the settings as a whole say is wrong.
    fn check<T: Validate + Setting>(&mut self, settings: &T) {
        let mut problems = Problems::default();
        settings.validate(&mut problems);
        let mut shown = Vec::new();
        if !problems.is_empty() {
            settings.values("", &mut shown);
        }
        for problem in problems.found() {
            let name = &problem.setting;
            let default = || shown.iter().find(|shown| shown.name == *name && !shown.secret)?.value.clone();
            let given = self.given(name).or_else(|| default().filter(|_| !self.is_secret(name)));
            let origin = problem.origin.clone().or_else(|| tree::origin(&self.merged.tree, name));
            self.problems.push(Problem { origin, given, ..problem.clone() });
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
