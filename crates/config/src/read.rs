//! Reads settings from the merged tree, and reports all problems with them.

use crate::effective::{Effective, Loaded};
use crate::error::ConfigError;
use crate::merged::Merged;
use crate::problems::Problems;
use crate::reader::Reader;
use crate::reference::Reference;
use crate::resolve::Secrets;
use crate::setting::Setting;
use crate::tree;

impl Merged {
    /// Reads the tree as a settings type and, if every value has the right type, validates it as a whole. `secrets` are
    /// the values of references.
    ///
    /// # Errors
    /// Every setting that is missing, unknown or invalid.
    pub fn read<T: Setting>(&self, reference: &Reference, secrets: &Secrets) -> Result<Loaded<T>, ConfigError> {
        let mut reader = Reader::new(self.clone(), reference);
        reader.refuse_unknown();
        reader.substitute(secrets);
        let settings = T::read("", None, &mut reader).filter(|_| reader.problems.is_empty());
        if let Some(settings) = settings {
            check(&settings, &mut reader);
            if reader.problems.is_empty() {
                let effective = Effective::of(&settings, &reader.merged, reference);
                return Ok(Loaded { settings, effective });
            }
        }
        Err(ConfigError::Settings(reader.problems))
    }

    /// Reads one section ahead of the rest, such as the one with the addresses of secret stores. References in it aren't
    /// resolved, and only types are checked.
    ///
    /// # Errors
    /// Every setting of the section that is missing, unknown or invalid.
    pub fn section<S: Setting>(&self, name: &str) -> Result<S, ConfigError> {
        let reference = Reference::below::<S>(name);
        let mut merged = Self::empty();
        if let Some(section) = tree::find(&self.tree, name) {
            tree::put(&mut merged.tree, name, Some(section.clone()));
        }
        let mut reader = Reader::new(merged, &reference);
        reader.refuse_unknown();
        let section = S::read(name, None, &mut reader).filter(|_| reader.problems.is_empty());
        section.ok_or(ConfigError::Settings(reader.problems))
    }
}

/// Validates the settings as a whole.
fn check<T: Setting>(settings: &T, reader: &mut Reader<'_>) {
    let mut problems = Problems::default();
    settings.check(&mut problems);
    if problems.is_empty() {
        return;
    }
    let mut shown = Vec::new();
    settings.values("", &mut shown);
    let default = |name: &str| shown.iter().find(|shown| shown.name == name && !shown.secret)?.value.clone();
    reader.checked(problems.found(), default);
}
