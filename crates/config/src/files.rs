//! Files of settings: TOML and YAML, distinguished by their extension. Their text is never quoted by an error: it may hold
//! secrets.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat, Value};

use crate::error::ConfigError;
use crate::suggest::nearest;

/// The endings of files with settings.
const ENDINGS: [&str; 3] = ["toml", "yaml", "yml"];
/// A secret is shorter than this.
const LONGEST_SECRET: u64 = 64 * 1024;

/// The tree that a file holds.
pub(crate) fn read(path: &Path) -> Result<Value, ConfigError> {
    let fail = |message: String| ConfigError::File { path: path.to_owned(), message };
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("toml");
    let format = match ending {
        "toml" => FileFormat::Toml,
        "yaml" | "yml" => FileFormat::Yaml,
        _ => return Err(fail("its name must end in .toml, .yaml or .yml".to_owned())),
    };
    if text.trim().is_empty() {
        return Ok(crate::tree::empty());
    }
    let parsed = Config::builder().add_source(File::from_str(&text, format)).build();
    parsed.map(|config| config.cache).map_err(|error| fail(without_quotes(&error.to_string())))
}

/// The files of a layer that are there.
pub(crate) fn layer(directory: &Path, stem: &str) -> Vec<PathBuf> {
    let named = ENDINGS.map(|ending| directory.join(format!("{stem}.{ending}")));
    named.into_iter().filter(|path| path.is_file()).collect()
}

/// Files in a directory of layers that nothing reads although they look like a layer: the name resembles a layer's, or
/// has another extension. `layers` are the names that this process or other processes read.
pub(crate) fn unused_files(directory: &Path, layers: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
        let (stem, ending) = (part(path.file_stem()), part(path.extension()));
        let (known, ends) = (layers.contains(&&*stem), ENDINGS.contains(&&*ending));
        if known && !ends && path.is_file() {
            found.push((path, "unknown type of file; its name must end in .toml, .yaml or .yml".to_owned()));
        } else if !known
            && ends
            && let Some(meant) = nearest(&stem, layers.iter().copied())
        {
            found.push((path, format!("unknown settings file; did you mean {meant}.{ending}?")));
        }
    }
    found.sort();
    found
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

/// The text of a file without the line break at its end.
pub(crate) fn secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(LONGEST_SECRET).read_to_string(&mut text))
        .map_err(|error| format!("can't be read: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// The files of a directory of mounted secrets. Kubernetes mounts each as a link to `..data/<name>`, and `..data` as a
/// link that it swaps; a name that begins with a dot isn't a setting.
pub(crate) fn mounted(directory: &Path) -> Result<Vec<(String, PathBuf)>, ConfigError> {
    let fail = |error: std::io::Error| ConfigError::File { path: directory.to_owned(), message: error.to_string() };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !name.starts_with('.') && path.is_file() {
            files.push((name, path));
        }
    }
    files.sort();
    Ok(files)
}
