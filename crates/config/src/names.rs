//! Names of settings and variables.

/// Prefix of the variables that set a setting.
pub(crate) const PREFIX: &str = "FLOTILLA__";
/// Prefix of all of Flotilla's variables.
pub(crate) const OURS: &str = "FLOTILLA_";
/// Suffix of a setting's name in a variable that names a file with the value.
pub(crate) const FILE: &str = "_file";

/// The variable that lists settings files, separated by commas.
pub(crate) const FILES: &str = "FLOTILLA_CONFIG_FILE";
/// The variable that names the layer directory.
pub(crate) const DIRECTORY: &str = "FLOTILLA_CONFIG_DIR";
/// The variable that names the directory of mounted secrets.
pub(crate) const SECRETS: &str = "FLOTILLA_SECRETS_DIR";
/// The variable that names the env file.
pub(crate) const VARIABLES: &str = "FLOTILLA_ENV_FILE";
/// Variables that select sources.
pub(crate) const SOURCES: [&str; 4] = [FILES, DIRECTORY, SECRETS, VARIABLES];

/// Prefix of the variables of one service in a process that runs several.
pub(crate) fn own_prefix(service: &str) -> String {
    format!("{OURS}{}__", service.to_ascii_uppercase())
}

/// The dotted name of `key` in `section`.
#[must_use]
pub fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The environment variable of a setting.
pub(crate) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.replace('.', "__").to_ascii_uppercase())
}

/// The dotted name of the setting that a variable or a file is named after: `SAGA__TICK`, `saga.tick`.
pub(crate) fn setting_of(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase().replace("__", ".");
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b));
    (plain && !name.split('.').any(str::is_empty)).then_some(name)
}
