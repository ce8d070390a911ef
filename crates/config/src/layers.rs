//! The layers below a settings type, merged into one tree: a TOML file, then the environment.
//!
//! Each value remembers where it came from. The file's text is never quoted by an error: it may hold secrets.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, File, FileFormat, Map, Source, Value, ValueKind};

use crate::error::ConfigError;
use crate::problems::{Problem, Problems};

/// What every variable of a setting begins with.
pub(crate) const PREFIX: &str = "FLOTILLA__";

/// The variables of settings: dotted names with the variable and its value.
#[derive(Clone, Debug, Default)]
struct Variables(BTreeMap<String, Value>);

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone().into_iter().collect())
    }
}

/// Merges the file, if any, and the variables.
pub(crate) fn merge(
    environment: impl IntoIterator<Item = (String, String)>,
    file: Option<&Path>,
    problems: &mut Problems,
) -> Result<Value, ConfigError> {
    let mut builder = Config::builder();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::File { path: path.to_owned(), message: error.to_string() })?;
        let checked = Config::builder().add_source(File::from_str(&text, FileFormat::Toml)).build();
        if let Err(error) = checked {
            return Err(ConfigError::File { path: path.to_owned(), message: without_quotes(&error.to_string()) });
        }
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    let variables = variables(environment, problems);
    builder.add_source(variables).build().map(|config| config.cache).map_err(|error| ConfigError::File {
        path: file.unwrap_or(Path::new("")).to_owned(),
        message: without_quotes(&error.to_string()),
    })
}

fn variables(environment: impl IntoIterator<Item = (String, String)>, problems: &mut Problems) -> Variables {
    let mut variables = Variables::default();
    for (variable, text) in environment {
        // An empty variable counts as one that isn't set: compose files and shells can't unset one.
        let Some(name) = variable.strip_prefix(PREFIX).filter(|_| !text.is_empty()) else { continue };
        let name = name.to_ascii_lowercase().replace("__", ".");
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.');
        if !plain || name.split('.').any(str::is_empty) {
            let message = "is not the name of a setting".to_owned();
            problems.push(Problem { setting: name, message, origin: Some(variable) });
            continue;
        }
        variables.0.insert(name, Value::new(Some(&variable), text));
    }
    variables
}

/// The parser shows the line at fault between its first line, the position, and its last, the reason.
fn without_quotes(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(position), Some(reason)) => format!("{position}: {reason}"),
        (Some(only), None) => only.to_owned(),
        _ => "can't be understood".to_owned(),
    }
}

/// The value at a dotted name.
pub(crate) fn find<'a>(root: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(root, |value, key| match &value.kind {
        ValueKind::Table(table) => table.get(key),
        _ => None,
    })
}

/// Sets the value at a dotted name, or removes it.
pub(crate) fn put(root: &mut Value, name: &str, new: Option<Value>) {
    let (parents, key) = name.rsplit_once('.').map_or((None, name), |(parents, key)| (Some(parents), key));
    let mut at = root;
    for parent in parents.into_iter().flat_map(|parents| parents.split('.')) {
        let ValueKind::Table(table) = &mut at.kind else { return };
        at = table.entry(parent.to_owned()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    }
    if let ValueKind::Table(table) = &mut at.kind {
        match new {
            Some(value) => drop(table.insert(key.to_owned(), value)),
            None => drop(table.remove(key)),
        }
    }
}

/// The settings at and below a dotted name that have a value, sorted.
pub(crate) fn leaves(root: &Value, name: &str) -> Vec<(String, Option<String>)> {
    fn walk(value: &Value, name: &str, found: &mut Vec<(String, Option<String>)>) {
        match &value.kind {
            ValueKind::Table(table) if !table.is_empty() => {
                for (key, inner) in table {
                    walk(inner, &format!("{name}.{key}"), found);
                }
            }
            _ => found.push((name.to_owned(), value.origin().map(str::to_owned))),
        }
    }
    let mut found = Vec::new();
    match find(root, name) {
        Some(value) => walk(value, name, &mut found),
        None => found.push((name.to_owned(), None)),
    }
    found.sort();
    found
}
