//! The record of a home, `home.json`: its id, and where its data are.
//!
//! Several homes may share a folder of servers, or the user's own servers. Everything that a home keeps there is marked
//! with the home's id, which is random and permanent: neither homes whose paths end alike nor copies of a home have the
//! same id.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use flotilla_servers::data_below;
use rand::Rng as _;
use serde::{Deserialize, Serialize};

const FILE: &str = "home.json";
/// Maximum number of characters of the path's last part in names, where it is for readability.
const READABLE: usize = 24;

/// The content of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Random, generated with the home.
    pub id: String,
    /// The home's path. If it differs from the present path, the home was copied or moved.
    pub root: PathBuf,
    /// The folder's device and inode, which it keeps when it is moved and a copy doesn't get; absent in records of
    /// earlier versions.
    #[serde(default)]
    pub folder: Option<(u64, u64)>,
    /// Where the data are, from the first `up` to the next `reset`.
    pub place: Option<Place>,
    /// The Compose project of its containers, from the first `up` in containers to the next `reset`.
    #[serde(default)]
    pub project: Option<String>,
}

/// Where a home's data are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The folder of the servers: the home itself unless another was given.
    pub servers: PathBuf,
    /// The prefix of its instances' names there; empty in the home itself.
    pub prefix: String,
}

impl Record {
    /// Opens the record of a home. A home without a record gets one; a copy of another home gets a new id.
    pub fn open(root: &Path) -> Result<Self> {
        let Some(record) = Self::read(root)? else { return Self::make(root) };
        if record.root == root {
            return Ok(record);
        }
        if record.was_copied_to(root) {
            fs::remove_file(root.join(FILE))?;
            return Self::make(root);
        }
        let inside = record.place.as_ref().is_some_and(|place| place.prefix.is_empty());
        let place = if inside { Some(Place::own(root)) } else { record.place.clone() };
        let moved = Self { root: root.to_owned(), folder: folder(root), place, ..record };
        moved.write()?;
        Ok(moved)
    }

    /// Whether `root`, where this record was found, is a copy of the home and not the home itself, moved. The original
    /// may have been moved as well, so that it is no longer where it was.
    fn was_copied_to(&self, root: &Path) -> bool {
        if self.folder.is_some() {
            return folder(root) != self.folder && !is_same(root, &self.root);
        }
        let original = Self::read(&self.root).ok().flatten();
        original.is_some_and(|original| original.id == self.id) && !is_same(root, &self.root)
    }

    fn read(root: &Path) -> Result<Option<Self>> {
        match fs::read(root.join(FILE)) {
            Ok(bytes) => {
                let damaged = || format!("{} is damaged", root.join(FILE).display());
                Ok(Some(serde_json::from_slice(&bytes).with_context(damaged)?))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// If two commands are the first at the same time, only one of them creates the record.
    fn make(root: &Path) -> Result<Self> {
        let id = format!("{:016x}", rand::rng().random::<u64>());
        let record = Self { id, root: root.to_owned(), folder: folder(root), place: None, project: None };
        let fresh = root.join(format!("{FILE}.{}", record.id));
        fs::write(&fresh, serde_json::to_vec_pretty(&record)?)?;
        let made = fs::hard_link(&fresh, root.join(FILE));
        fs::remove_file(&fresh)?;
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Self::read(root)?.with_context(|| format!("{} vanishes", root.join(FILE).display()))
            }
            made => made.map(|()| record).with_context(|| format!("can't write {}", root.join(FILE).display())),
        }
    }

    /// Replaces the file atomically.
    pub fn write(&self) -> Result<()> {
        let fresh = self.root.join(format!("{FILE}.{}", std::process::id()));
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&fresh, self.root.join(FILE)).with_context(|| format!("can't write {FILE}"))
    }

    /// Where the data are, or will be: `given` is the folder of servers from the command line.
    ///
    /// # Errors
    /// If the home has its data elsewhere.
    pub fn place(&self, given: Option<&Path>) -> Result<Place> {
        let given = given.map(|folder| self.given(folder)).transpose()?;
        if let Some(place) = &self.place {
            return match given {
                Some(given) if given.servers != place.servers => Err(self.elsewhere(&place.servers, &given.servers)),
                _ => Ok(place.clone()),
            };
        }
        let inside = data_below(&self.root, "postgres").is_some();
        match given {
            // The home was started by a build without records.
            Some(given) if inside && !given.prefix.is_empty() => Err(self.elsewhere(&self.root, &given.servers)),
            Some(given) => Ok(given),
            None if !inside && self.was_a_guest() => bail!(
                "{} was started with --servers by an earlier version, which didn't record the folder: pass --servers once more",
                self.root.display()
            ),
            None => Ok(Place::own(&self.root)),
        }
    }

    fn given(&self, folder: &Path) -> Result<Place> {
        let folder = std::path::absolute(folder)?;
        let servers = folder.canonicalize().unwrap_or(folder);
        if servers == self.root {
            return Ok(Place::own(&self.root));
        }
        let former = format!("{}-", self.last_part());
        let prefix = if self.is_mine(&servers, &former) { former } else { self.name("") };
        Ok(Place { servers, prefix })
    }

    /// The name of something of this home in a place that homes share: `<the path's last part>-<id>-<name>`.
    pub fn name(&self, name: &str) -> String {
        let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
        let readable: String = self.last_part().to_lowercase().chars().filter(plain).take(READABLE).collect();
        let readable = if readable.is_empty() { "home" } else { &readable };
        format!("{readable}-{}-{name}", self.id)
    }

    /// The Compose project of the home. If containers exist under an earlier version's name (the path's last part
    /// alone), that name is kept.
    pub fn project(&self) -> String {
        if let Some(project) = &self.project {
            return project.clone();
        }
        if !self.root.join("compose").exists() {
            return format!("flotilla-{}", self.name("").trim_end_matches('-'));
        }
        let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
        let name: String = self.last_part().to_lowercase().chars().filter(plain).collect();
        if name == "flotilla" { name } else { format!("flotilla-{name}") }
    }

    fn last_part(&self) -> String {
        self.root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Whether data that an earlier version named by the path's last part alone belong to this home, and not to another
    /// home whose path ends alike: they do if PostgreSQL last started there on the port that this home remembers.
    fn is_mine(&self, servers: &Path, former: &str) -> bool {
        let options = || {
            let cluster = data_below(servers, &format!("{former}postgres"))?.join("cluster");
            fs::read_to_string(cluster.join("postmaster.opts")).ok()
        };
        let port = || {
            let ports: serde_json::Value =
                serde_json::from_slice(&fs::read(self.root.join("server-ports.json")).ok()?).ok()?;
            ports["postgres"].as_u64()
        };
        let (Some(options), Some(port)) = (options(), port()) else { return false };
        options.contains(&format!("\"-p\" \"{port}\""))
    }

    /// Whether it once ran natively with its data elsewhere.
    fn was_a_guest(&self) -> bool {
        let has = |file: &str| self.root.join(file).exists();
        let own_postgres =
            fs::read_to_string(self.root.join("external.json")).is_ok_and(|note| !note.starts_with("[null"));
        has("env") && !has("compose") && !own_postgres
    }

    fn elsewhere(&self, present: &Path, given: &Path) -> anyhow::Error {
        let there = if present == self.root { "in it".to_owned() } else { format!("in {}", present.display()) };
        anyhow::anyhow!(
            "{} has its data {there}, not in {}: leave --servers (FLOTILLA_SERVERS) out, or reset it first",
            self.root.display(),
            given.display()
        )
    }
}

impl Place {
    pub fn own(root: &Path) -> Self {
        Self { servers: root.to_owned(), prefix: String::new() }
    }
}

/// Whether two paths lead to the same folder.
fn is_same(one: &Path, other: &Path) -> bool {
    folder(one).is_some_and(|one| folder(other) == Some(one))
}

/// A folder's device and inode.
fn folder(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).map(|folder| (folder.dev(), folder.ino())).ok()
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
