//! All layers merged into one tree.

use std::collections::BTreeSet;
use std::path::PathBuf;

use config::{Value, ValueKind};

use crate::problems::Problem;
use crate::resolve::scheme_of;
use crate::tree;

/// A setting whose value refers to a secret in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// The dotted name.
    pub setting: String,
    /// `vault://mount/path#key`.
    pub reference: String,
}

/// Sources read into one tree.
#[derive(Clone, Debug)]
pub struct Merged {
    pub(crate) tree: Value,
    pub(crate) problems: Vec<Problem>,
    /// Settings read from secret files or stores, which are masked whatever their type.
    pub(crate) masked: BTreeSet<String>,
    pub(crate) watched: Vec<PathBuf>,
}

impl Merged {
    pub(crate) fn empty() -> Self {
        Self { tree: tree::empty(), problems: Vec::new(), masked: BTreeSet::new(), watched: Vec::new() }
    }

    /// The value of a setting as given, not validated.
    #[must_use]
    pub fn text(&self, setting: &str) -> Option<String> {
        tree::find(&self.tree, setting).map(tree::written)
    }

    /// The settings that are references to secrets.
    #[must_use]
    pub fn references(&self) -> Vec<SecretReference> {
        let reference = |setting: String| match &tree::find(&self.tree, &setting)?.kind {
            ValueKind::String(text) => {
                scheme_of(text).map(|_| SecretReference { setting: setting.clone(), reference: text.clone() })
            }
            _ => None,
        };
        tree::leaves(&self.tree).into_iter().filter_map(reference).collect()
    }

    /// The files and directories that were read, or would have been read if they existed.
    #[must_use]
    pub fn watched(&self) -> &[PathBuf] {
        &self.watched
    }
}
