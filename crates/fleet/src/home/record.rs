//! Which home this is, and where its data lie: `home.json`.
//!
//! Servers' folders, and servers of the user's, may be shared by several homes. What a home keeps there carries the
//! home's id, which is made at random and stays: neither two homes whose paths end alike nor a copy of a home share it.

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

/// The file in the home.
const FILE: &str = "home.json";
/// So much of the path's last part stands in names, for people.
const READABLE: usize = 24;

/// What a home knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Made at random when the home was.
    pub id: String,
    /// The home's path: another than it is at tells a copy, or that the folder was moved.
    pub root: PathBuf,
    /// Where the data lie, from the first `up` to the next `reset`.
    pub place: Option<Place>,
    /// The project that its containers belong to, from the first `up` in containers to the next `reset`.
    #[serde(default)]
    pub project: Option<String>,
}

/// Where a home's data lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The folder of the servers; the home itself unless another's was given.
    pub servers: PathBuf,
    /// What the names of its instances begin with there; empty in the home itself.
    pub prefix: String,
}

impl Record {
    /// The record of a home. A home that has none yet gets one; a copy of another home becomes a home of its own.
    pub fn open(root: &Path) -> Result<Self> {
        let Some(record) = Self::read(root)? else { return Self::make(root) };
        if record.root == root {
            return Ok(record);
        }
        let original = Self::read(&record.root).ok().flatten();
        let copied = original.is_some_and(|original| original.id == record.id) && !is_same(root, &record.root);
        if copied {
            fs::remove_file(root.join(FILE))?;
            return Self::make(root);
        }
        let inside = record.place.as_ref().is_some_and(|place| place.prefix.is_empty());
        let place = if inside { Some(Place::own(root)) } else { record.place.clone() };
        let moved = Self { root: root.to_owned(), place, ..record };
        moved.write()?;
        Ok(moved)
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

    /// Two commands may be the first ones at the same time: one of them makes it.
    fn make(root: &Path) -> Result<Self> {
        let id = format!("{:016x}", rand::rng().random::<u64>());
        let record = Self { id, root: root.to_owned(), place: None, project: None };
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

    /// Replaces the file whole.
    pub fn write(&self) -> Result<()> {
        let fresh = self.root.join(format!("{FILE}.{}", std::process::id()));
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&fresh, self.root.join(FILE)).with_context(|| format!("can't write {FILE}"))
    }

    /// Where the data lie, or will lie: `given` is the folder of servers that the command line names.
    ///
    /// # Errors
    /// When the home has its data elsewhere.
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
            // Brought up by a build that kept no record.
            Some(given) if inside && !given.prefix.is_empty() => Err(self.elsewhere(&self.root, &given.servers)),
            Some(given) => Ok(given),
            None if !inside && self.was_a_guest() => bail!(
                "{} was brought up with --servers by an earlier version, which didn't note the folder: give it once more",
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

    /// A name of something of this home's among that of others: `<the path's last part>-<id>-<name>`.
    pub fn name(&self, name: &str) -> String {
        let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
        let readable: String = self.last_part().to_lowercase().chars().filter(plain).take(READABLE).collect();
        let readable = if readable.is_empty() { "home" } else { &readable };
        format!("{readable}-{}-{name}", self.id)
    }

    /// The project of the home's containers. Where there are some that an earlier version named, by the path's last part
    /// alone, the name stays.
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

    /// Whether the data that an earlier version named by the path's last part alone are this home's, and not those of
    /// another whose path ends alike: PostgreSQL's last start there was on the port that this home remembers.
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

    /// Whether it was once up natively, with data that aren't in it.
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

/// One folder under two paths.
fn is_same(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| fs::metadata(path).map(|folder| (folder.dev(), folder.ino())).ok();
    inode(one).is_some_and(|one| inode(other) == Some(one))
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
