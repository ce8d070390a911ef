//! From the tree of all layers to settings, or to everything that is wrong with them.

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
    /// Reads the tree as a settings type, and checks it as a whole where the types fit; `secrets` are what references
    /// stand for.
    ///
    /// # Errors
    /// Every setting that is missing, unknown or wrong.
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

    /// Reads one section ahead of the rest, such as the one that tells where secrets are. References in it stay texts,
    /// and nothing but its types is checked.
    ///
    /// # Errors
    /// Every setting of it that is missing, unknown or wrong.
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

/// What the settings as a whole say is wrong.
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
