//! The layer of settings from a remote source, which can change at run time.

use std::collections::BTreeMap;

/// Settings from a remote source. The loader places them above files and below the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteLayer {
    origin: String,
    values: BTreeMap<String, String>,
}

impl RemoteLayer {
    /// An empty layer. `origin` names the source in reports, such as `NATS bucket flotilla_settings`.
    #[must_use]
    pub fn new(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), values: BTreeMap::new() }
    }

    /// Sets the value of a setting by its dotted name (`saga.tick`), written as in a variable.
    #[must_use]
    pub fn with(mut self, setting: impl Into<String>, value: impl Into<String>) -> Self {
        self.values.insert(setting.into(), value.into());
        self
    }

    /// Where the values come from.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Dotted names and their values.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }
}
