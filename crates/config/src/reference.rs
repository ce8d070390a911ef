//! The reference of a settings type: the name, type, default and description of each setting.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::names::{join, variable};

/// Where a setting or section is described: its name, and the field's doc comment and aliases.
#[derive(Clone, Debug, Default)]
pub struct Place {
    name: String,
    doc: String,
    aliases: Vec<String>,
}

impl Place {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The place of a field of this section.
    #[must_use]
    pub fn field(&self, key: &str, doc: &str, aliases: &[&str]) -> Self {
        let aliases = aliases.iter().map(ToString::to_string).collect();
        Self { name: join(&self.name, key), doc: doc.to_owned(), aliases }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The dotted name.
    pub name: String,
    /// What it is for.
    pub doc: String,
    /// The type of its value.
    pub kind: Kind,
    /// The default.
    pub default: Option<String>,
    /// It must be set. A setting of an optional section isn't required.
    pub required: bool,
    /// A reload can change it.
    pub live: bool,
    /// Its value is masked wherever it is shown.
    pub secret: bool,
    /// Other variables that set it.
    pub aliases: Vec<String>,
}

impl Description {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(&self.name)
    }
}

/// A section of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The dotted name; empty for the root.
    pub name: String,
    /// What it is for.
    pub doc: String,
}

/// All settings of a type.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    sections: Vec<Section>,
    settings: Vec<Description>,
    places: BTreeMap<String, usize>,
}

impl Reference {
    /// Adds a section; `doc` is its type's doc comment, used if its field has none.
    pub fn section(&mut self, at: &Place, doc: &str) {
        // A flattened section is part of another one, which has been added already.
        if self.sections.iter().any(|known| known.name == at.name) {
            return;
        }
        let doc = if at.doc.is_empty() { doc } else { &at.doc };
        self.sections.push(Section { name: at.name.clone(), doc: doc.to_owned() });
    }

    /// Adds a setting.
    pub(crate) fn setting(&mut self, at: &Place, kind: Kind, default: Option<String>) {
        self.places.insert(at.name.clone(), self.settings.len());
        self.settings.push(Description {
            name: at.name.clone(),
            doc: at.doc.clone(),
            secret: kind == Kind::Secret,
            kind,
            required: default.is_none(),
            default,
            live: false,
            aliases: at.aliases.clone(),
        });
    }

    /// Applies `mark` to the settings that `add` adds.
    pub(crate) fn mark(&mut self, add: impl FnOnce(&mut Self), mut mark: impl FnMut(&mut Description)) {
        let before = self.settings.len();
        add(self);
        self.settings[before..].iter_mut().for_each(&mut mark);
    }

    /// The settings, in the order of their declaration.
    #[must_use]
    pub fn settings(&self) -> &[Description] {
        &self.settings
    }

    /// The sections, in the order of their declaration.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The setting of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Description> {
        self.places.get(name).map(|place| &self.settings[*place])
    }

    /// Whether this is the name of a section.
    pub(crate) fn is_section(&self, name: &str) -> bool {
        self.sections.iter().any(|section| section.name == name)
    }

    /// The setting that has the variable `alias` as an alias.
    pub(crate) fn by_alias(&self, alias: &str) -> Option<&Description> {
        self.settings.iter().find(|setting| setting.aliases.iter().any(|known| known == alias))
    }
}
