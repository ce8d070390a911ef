//! Loads settings in one call, for programs that don't reload and don't need the sources of values.

use std::path::Path;

use crate::effective::Loaded;
use crate::error::ConfigError;
use crate::names::variable;
use crate::reference::Reference;
use crate::remote::RemoteLayer;
use crate::resolve::Secrets;
use crate::setting::Setting;
use crate::sources::Sources;

/// Loads the settings of this process from [`Sources::of_process`].
///
/// # Errors
/// Every setting that is missing, unknown or invalid.
pub fn load<T: Setting>() -> Result<T, ConfigError> {
    Sources::of_process().load().map(|loaded| loaded.settings)
}

/// Like [`load`], from the given environment and file; the file replaces those that the environment names.
///
/// # Errors
/// Every setting that is missing, unknown or invalid.
pub fn load_from<T: Setting>(
    environment: impl IntoIterator<Item = (String, String)>,
    file: Option<&Path>,
) -> Result<T, ConfigError> {
    let sources = Sources::of(environment);
    let sources = file.map_or(sources.clone(), |file| sources.file(file));
    sources.load().map(|loaded| loaded.settings)
}

impl Sources {
    /// Reads all sources except the remote one and the secret stores.
    ///
    /// # Errors
    /// Every setting that is missing, unknown or invalid.
    pub fn load<T: Setting>(&self) -> Result<Loaded<T>, ConfigError> {
        let reference = Reference::of::<T>();
        self.merge(&reference, &RemoteLayer::default())?.read(&reference, &Secrets::new())
    }
}

/// The environment variable of a setting.
#[must_use]
pub fn variable_of(setting: &str) -> String {
    variable(setting)
}
