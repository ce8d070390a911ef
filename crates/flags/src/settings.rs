//! Settings of flags, section `flags`.

use flotilla_config::{Live, Problems, Setting, Validate};

use crate::FlagDefinitions;

/// Where flags are defined, besides the bucket of the remote source.
#[derive(Debug, Clone, Default, Setting)]
#[setting(default)]
pub struct FlagSettings {
    /// Definitions in flagd's JSON format: `{"flags": {...}}`. A definition in the remote source's bucket takes
    /// precedence.
    pub definitions: Live<FlagDefinitions>,
    /// A flagd that takes precedence: `http://host:8015` (its sync port), or `file:///path/of/flags.json`. Needs a
    /// build with the feature `flagd`.
    pub flagd: String,
}

impl Validate for FlagSettings {
    fn validate(&self, problems: &mut Problems) {
        let known = ["http://", "https://", "file:///"].iter().any(|scheme| self.flagd.starts_with(scheme));
        problems.require(self.flagd.is_empty() || known, "flagd", "must begin with http://, https:// or file:///");
        let built = self.flagd.is_empty() || cfg!(feature = "flagd");
        problems.require(built, "flagd", "needs a build with the feature flagd");
    }
}
