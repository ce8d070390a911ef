//! Effective settings: their values, where these come from, and which of them can change.

use std::fmt::Write as _;

use serde::Serialize;

use crate::merged::Merged;
use crate::reference::Reference;
use crate::setting::Setting;
use crate::shown::{MASK, Shown};
use crate::tree;

/// Settings that were read, with their values and sources.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The settings.
    pub settings: T,
    /// Their values and where these come from.
    pub effective: Effective,
}

/// The value of each setting and where it comes from; secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Effective(Vec<EffectiveSetting>);

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectiveSetting {
    /// The dotted name.
    pub setting: String,
    /// Its value; `None` if it has none.
    pub value: Option<String>,
    /// Where the value comes from: a variable, a file, a flag, the remote source, or `default`.
    pub source: String,
    /// Whether a reload can change it.
    pub live: bool,
}

impl Effective {
    pub(crate) fn of<T: Setting>(settings: &T, merged: &Merged, reference: &Reference) -> Self {
        let mut shown = Vec::new();
        settings.values("", &mut shown);
        let effective = |shown: Shown| {
            let value = match shown.value {
                Some(_) if merged.masked.contains(&shown.name) => Some(MASK.to_owned()),
                value => value,
            };
            let source = tree::origin(&merged.tree, &shown.name).unwrap_or_else(|| "default".to_owned());
            let live = reference.find(&shown.name).is_some_and(|setting| setting.live);
            EffectiveSetting { setting: shown.name, value, source, live }
        };
        Self(shown.into_iter().map(effective).collect())
    }

    /// The settings, in the order of declaration.
    #[must_use]
    pub fn settings(&self) -> &[EffectiveSetting] {
        &self.0
    }

    /// One line per setting: name, value, source.
    #[must_use]
    pub fn text(&self) -> String {
        let value = |setting: &EffectiveSetting| setting.value.clone().unwrap_or_else(|| "-".to_owned());
        let names = self.0.iter().map(|setting| setting.setting.len()).max().unwrap_or(0);
        let values = self.0.iter().map(|setting| value(setting).chars().count().min(40)).max().unwrap_or(0);
        let mut text = String::new();
        for setting in &self.0 {
            let live = if setting.live { "  (live)" } else { "" };
            let (name, value, source) = (&setting.setting, value(setting), &setting.source);
            // Writing into a String doesn't fail.
            let _ = writeln!(text, "{name:names$}  {value:values$}  {source}{live}");
        }
        text
    }
}
