//! Settings files: TOML and YAML, distinguished by their extension. Errors never quote their text, because it may contain
//! secrets.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat, Value};

use crate::error::ConfigError;
use crate::suggest::nearest;

/// The extensions of settings files.
const EXTENSIONS: [&str; 3] = ["toml", "yaml", "yml"];
/// Maximum size of a secret, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Reads a file as a tree.
pub(crate) fn read(path: &Path) -> Result<Value, ConfigError> {
    let fail = |message: String| ConfigError::File { path: path.to_owned(), message };
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("toml");
    let format = match extension {
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

/// The files of a layer that exist.
pub(crate) fn layer(directory: &Path, stem: &str) -> Vec<PathBuf> {
    let named = EXTENSIONS.map(|extension| directory.join(format!("{stem}.{extension}")));
    named.into_iter().filter(|path| path.is_file()).collect()
}

/// Files in a layer directory that nothing reads although they look like a layer: the name resembles a layer's, or has
/// a different extension. `layers` are the names that this process or other processes read.
pub(crate) fn unused_files(directory: &Path, layers: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
        let (stem, extension) = (part(path.file_stem()), part(path.extension()));
        let (known_stem, known_extension) = (layers.contains(&&*stem), EXTENSIONS.contains(&&*extension));
        if known_stem && !known_extension && path.is_file() {
            found.push((path, "unknown file type; the name must end in .toml, .yaml or .yml".to_owned()));
        } else if !known_stem
            && known_extension
            && let Some(meant) = nearest(&stem, layers.iter().copied())
        {
            found.push((path, format!("unknown settings file; did you mean {meant}.{extension}?")));
        }
    }
    found.sort();
    found
}

/// Drops the quoted line from a parser error, whose first line is the position and whose last is the reason.
fn without_quotes(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(position), Some(reason)) => format!("{position}: {reason}"),
        (Some(only), None) => only.to_owned(),
        _ => "can't be parsed".to_owned(),
    }
}

/// The text of a file without trailing line breaks.
pub(crate) fn secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_SECRET).read_to_string(&mut text))
        .map_err(|error| format!("can't be read: {error}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// The files of a directory with mounted secrets. Kubernetes mounts each as a link to `..data/<name>`, and `..data` as a
/// link that it swaps; names that begin with a dot are skipped.
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
