//! How settings and variables are named.

/// What every variable of a setting begins with.
pub(crate) const PREFIX: &str = "FLOTILLA__";
/// The prefix of all our variables.
pub(crate) const OURS: &str = "FLOTILLA_";
/// The end of a setting's name in a variable that names a file with the value.
pub(crate) const FILE: &str = "_file";

/// The variable that names files, separated by commas.
pub(crate) const FILES: &str = "FLOTILLA_CONFIG_FILE";
/// The variable that names the directory of layers.
pub(crate) const DIRECTORY: &str = "FLOTILLA_CONFIG_DIR";
/// The variable that names the directory of mounted secrets.
pub(crate) const SECRETS: &str = "FLOTILLA_SECRETS_DIR";
/// The variable that names the file of variables.
pub(crate) const VARIABLES: &str = "FLOTILLA_ENV_FILE";
/// Variables that say where settings are read from.
pub(crate) const SOURCES: [&str; 4] = [FILES, DIRECTORY, SECRETS, VARIABLES];

/// The dotted name of `key` in the section `place`.
#[must_use]
pub fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// The environment variable of a setting.
pub(crate) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.replace('.', "__").to_ascii_uppercase())
}

/// The dotted name in a variable or a file's name: `SAGA__TICK`, `saga.tick`.
pub(crate) fn setting_of(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase().replace("__", ".");
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b));
    (plain && !name.split('.').any(str::is_empty)).then_some(name)
}
