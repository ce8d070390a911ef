//! Servers that the machine already has, if they are new enough.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;

use crate::layout::Layout;
use crate::pins::Need;
use crate::version::Version;

/// Folders of PostgreSQL's programs that aren't on the PATH; `*` stands for one folder.
const POSTGRES_PLACES: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"];

/// The newest installed server that is new enough, with its version.
pub(crate) async fn find(layout: &Layout, need: Need) -> Option<(PathBuf, Version)> {
    let mut best: Option<(PathBuf, Version)> = None;
    for path in candidates(need) {
        let Some(version) = version(layout, need, &path).await else { continue };
        if version >= need.least() && best.as_ref().is_none_or(|(_, than)| version > *than) {
            best = Some((path, version));
        }
    }
    best
}

/// The version that the server prints when run as the servers' user; `None` if that fails.
pub(crate) async fn version(layout: &Layout, need: Need, path: &Path) -> Option<Version> {
    let program = if need == Need::Postgres { path.join("postgres") } else { path.to_owned() };
    let output = layout.command(&program).arg("--version").stdin(Stdio::null()).output();
    let output = timeout(Duration::from_secs(20), output).await.ok()?.ok()?;
    if !output.status.success() {
        return None;
    }
    Version::find(&String::from_utf8_lossy(&output.stdout))
}

fn candidates(need: Need) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect();
    folders.extend(PLACES.map(PathBuf::from));
    let mut found: Vec<PathBuf> = match need {
        Need::Postgres => {
            folders.extend(POSTGRES_PLACES.iter().flat_map(|place| expand(place)));
            // Often only the clients are installed.
            folders.retain(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file());
            folders
        }
        Need::Nats => programs(&folders, &["nats-server"]),
        Need::Redis => programs(&folders, &["valkey-server", "redis-server"]),
    };
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    found
}

fn programs(folders: &[PathBuf], names: &[&str]) -> Vec<PathBuf> {
    folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .filter(|path| path.is_file())
        .collect()
}

/// Expands a pattern with one `*`, which is at the end of a path component.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("/", before));
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_the_versions_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["15", "17"] {
            std::fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
        }
        let mut found = expand(&format!("{}/*/bin", folder.path().display()));
        found.sort();
        assert_eq!(found, [folder.path().join("15/bin"), folder.path().join("17/bin")]);
    }
}
